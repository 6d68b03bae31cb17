"""``ctx.state``: which types it takes, what code may do with it, and what counts as a change."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, Field

from aiosv3.agents import AgentDefinitionError, Context, agent
from aiosv3.agents.agent import Order
from aiosv3.agents.keyed import KeyedState, check_state_type
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.state import StateChange, StateRecord, StateSchemas
from aiosv3.schemas.store import SchemaStore

if TYPE_CHECKING:
    from tests.agents.conftest import Play


class Basket(BaseModel):
    items: list[str] = []


@dataclass
class Marked:
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass
class Needy:
    name: str


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Marked, r"Marked\(\) is another value each time"),
        (Needy, r"Needy\(\), which fails .* give its fields defaults"),
        (dict, "dict is neither a pydantic model nor a dataclass"),
        (list[str], "is no class|neither"),
        ("Basket", "is no class"),
    ],
)
def test_a_type_that_cannot_be_a_state_is_refused_in_words(kind: Any, words: str) -> None:
    with pytest.raises(AgentDefinitionError, match=words):
        check_state_type("shop", kind)


def test_state_needs_the_order_that_protects_it() -> None:
    async def shop(ctx: Context[Basket], _value: str) -> str:
        return str(ctx.state)

    with pytest.raises(AgentDefinitionError, match='add order="serial"'):
        agent(state=Basket)(shop)
    assert agent(state=Basket, order="serial")(shop).state_type is Basket


def test_code_changes_replaces_and_forgets_it(play: Callable[..., Play]) -> None:
    seen: list[Any] = []

    async def shop(ctx: Context[Basket], _value: str) -> str:
        ctx.state.items.append("pear")
        seen.append(ctx.state.items)
        ctx.state = Basket(items=["fig"])
        seen.append(ctx.state.items)
        del ctx.state
        seen.append(ctx.state.items)
        with pytest.raises(TypeError, match=r"ctx\.state is a Basket, not a list; 'del ctx\.state' forgets it"):
            ctx.state = ["fig"]  # type: ignore[assignment]
        with pytest.raises(TypeError):
            ctx.state = None  # type: ignore[assignment]
        return "done"

    assert play(shop, state_type=Basket, order=Order.SERIAL).ended.value == "done"
    assert seen == [["pear"], ["fig"], []]


def test_an_agent_without_state_is_told_how_to_get_one(play: Callable[..., Play]) -> None:
    async def shop(ctx: Context[Any], _value: str) -> str:
        return str(ctx.state)

    failed = play(shop).failed
    assert failed.type == "AgentDefinitionError"
    assert "@agent(state=YourModel" in failed.message


def test_it_is_for_the_task_itself_only(play: Callable[..., Play]) -> None:
    """A change from a thread, or of ``ctx.run``, would come at another moment in a replay."""
    caught: list[Context[Basket]] = []

    async def shop(ctx: Context[Basket], _value: str) -> str:
        caught.append(ctx)
        return await ctx.generate("?")

    play(shop, state_type=Basket, order=Order.SERIAL)

    async def elsewhere() -> None:
        caught[0].state.items.append("pear")

    with pytest.raises(Exception, match="inside their own task"):
        asyncio.run(elsewhere())


class Held:
    """A state as it was found, with what is needed to see a change."""

    def __init__(self, value: Basket | None) -> None:
        store = SchemaStore()
        schemas = AgentSchemas("shop", str, str, None, Basket)
        asyncio.run(schemas.register(store))
        assert schemas.state is not None
        self.schemas: StateSchemas = schemas.state
        self.codec = Codec(store)
        self.state = KeyedState(Basket)
        if value is not None:
            record = StateRecord("k", 4, 2, StateChange(value, clearance=Clearance.INTERNAL))
            raw = self.schemas.encode(self.codec, record)
            self.state = KeyedState(Basket, self.schemas.decode(self.codec, raw), raw)

    def change(self, clearance: Clearance = Clearance.CONFIDENTIAL) -> StateChange | None:
        return self.state.change(self.schemas, self.codec, clearance)


@pytest.mark.parametrize("value", [None, Basket(items=["pear"])])
def test_what_is_the_same_is_no_change(value: Basket | None) -> None:
    held = Held(value)
    assert held.change() is None
    same = list(held.state.get().items)
    assert held.change() is None, "looked at"
    held.state.get().items.append("fig")
    held.state.get().items.pop()
    held.state.set(Basket(items=same))
    assert held.change() is None, "put back"


def test_a_change_has_the_class_of_the_task_that_made_it() -> None:
    held = Held(Basket(items=["pear"]))
    held.state.get().items.append("fig")
    assert held.change() == StateChange(Basket(items=["pear", "fig"]), clearance=Clearance.CONFIDENTIAL)


def test_only_what_was_there_is_deleted() -> None:
    for value, deletes in ((None, False), (Basket(), True)):
        held = Held(value)
        held.state.delete()
        change = held.change()
        assert (change is not None and change.deletes) is deletes


class Limited(BaseModel):
    count: int = Field(default=0, ge=0)


def test_a_default_that_is_the_same_each_time_is_taken() -> None:
    check_state_type("shop", Limited)
