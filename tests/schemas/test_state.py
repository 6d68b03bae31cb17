"""Keyed state: as a change inside a result, and as a record of its own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pydantic import BaseModel, Field

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.compat import check_compatible
from aiosv3.schemas.derive import UnsupportedType
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.state import StateChange, StateRecord, StateSchemas
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics


class Turn(BaseModel):
    text: str


class Chat(BaseModel):
    """What was said."""

    turns: list[Turn] = []
    tags: list[str] = []


@dataclass
class Count:
    seen: int = 0
    names: list[str] = field(default_factory=list)


CHAT = Chat(turns=[Turn(text="hello")], tags=["a"])
CHANGES = [
    None,
    StateChange(),
    StateChange(CHAT, clearance=Clearance.INTERNAL),
    StateChange(sealed=b"\1\2", content_key_id="k1", clearance=Clearance.CONFIDENTIAL),
]


async def ready(state_type: Any, output_type: Any = str) -> tuple[AgentSchemas, Codec]:
    store = SchemaStore()
    schemas = AgentSchemas("chat", str, output_type, Topics("t."), state_type)
    await schemas.register(store)
    return schemas, Codec(store)


def part(schemas: AgentSchemas) -> StateSchemas:
    assert schemas.state is not None
    return schemas.state


def result(state: StateChange | None, content: Any = "out") -> ResultEnvelope[Any]:
    return ResultEnvelope("t", "r", Outcome.OK, 3, 1, "h", 5, 9, "v1", content=content, state=state)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_result_says_kept_new_sealed_or_deleted(change: StateChange | None) -> None:
    schemas, codec = await ready(Chat)
    value = schemas.encode_result(codec, result(change))
    assert schemas.change(codec, value) == change
    assert schemas.decode_result(codec, value) == result(None)


@pytest.mark.parametrize("change", CHANGES[1:])
async def test_a_record_is_read_as_it_was_written(change: StateChange) -> None:
    schemas, codec = await ready(Chat)
    record = StateRecord("customer-7", 41, 12, change)
    assert part(schemas).decode(codec, part(schemas).encode(codec, record)) == record


@pytest.mark.parametrize("change", CHANGES)
async def test_a_result_is_projected_without_looking_into_its_state(change: StateChange | None) -> None:
    schemas, codec = await ready(Chat)
    projection = schemas.projection(codec, schemas.encode_result(codec, replace(result(change), task_key="k")), 7)
    if change is None:
        assert projection is None
        return
    assert projection is not None
    assert projection.input_offset == 3
    if change.deletes:
        assert projection.value is None
    else:
        assert part(schemas).decode(codec, projection.value or b"") == StateRecord("k", 3, 7, change)


async def test_an_answer_is_read_even_if_its_state_no_longer_fits() -> None:
    class Short(BaseModel):
        turns: list[Turn] = Field(default=[], max_length=0)
        tags: list[str] = []

    Short.__name__ = "Chat"
    schemas, codec = await ready(Chat)
    written = schemas.encode_result(codec, result(StateChange(CHAT)))
    later = AgentSchemas("chat", str, str, Topics("t."), Short)
    await later.register(codec.store)
    assert later.decode_result(codec, written).content == "out"
    assert later.projection(codec, written, 7) is not None, "it is carried on for code that can"
    with pytest.raises(MalformedValue, match="turns"):
        later.change(codec, written)


def test_only_a_change_without_any_content_deletes() -> None:
    assert [change.deletes for change in CHANGES if change is not None] == [True, False, False]


async def test_dataclasses_serve_too() -> None:
    schemas, codec = await ready(Count)
    record = StateRecord("k", 1, 1, StateChange(Count(2, ["a"])))
    assert part(schemas).decode(codec, part(schemas).encode(codec, record)).state.content == Count(2, ["a"])


async def test_one_class_may_be_both_output_and_state() -> None:
    schemas, codec = await ready(Chat, Chat)
    both = schemas.encode_result(codec, result(StateChange(CHAT), content=CHAT))
    assert schemas.decode_result(codec, both).content == CHAT
    assert schemas.change(codec, both) == StateChange(CHAT)


async def test_an_agent_that_had_no_state_reads_its_old_results() -> None:
    before, codec = await ready(None)
    after = AgentSchemas("chat", str, str, Topics("t."), Chat)
    check_compatible("chat", after.result_schema, [before.result_schema])
    await after.register(codec.store)
    old = before.encode_result(codec, result(None))
    assert after.decode_result(codec, old) == result(None)
    assert (after.change(codec, old), after.projection(codec, old, 7)) == (None, None)
    new = after.encode_result(codec, result(StateChange(CHAT)))
    assert before.decode_result(codec, new) == result(None), "and a reader without the state does not mind it"
    assert (before.change(codec, new), before.projection(codec, new, 7)) == (None, None)


async def test_what_is_no_state_is_refused_without_its_words() -> None:
    schemas, codec = await ready(Chat)
    with pytest.raises(MalformedValue, match=r"the content is no aiosv3\.types\.chat\.state\.Chat"):
        schemas.encode_result(codec, result(StateChange(Turn(text="secret"))))

    class Wider(BaseModel):
        turns: list[Turn] = []
        tags: list[int] = []

    written = part(schemas).encode(codec, StateRecord("k", 1, 1, StateChange(CHAT)))
    other = AgentSchemas("chat", str, str, Topics("t."), Wider)
    with pytest.raises(MalformedValue) as refused:
        part(other).decode(codec, written)
    assert "hello" not in str(refused.value)


def test_names_and_topic() -> None:
    schemas = part(AgentSchemas("my-chat", str, str, Topics("t."), Chat))
    assert schemas.subject == "t.state.my-chat-value"
    assert (schemas.schema["namespace"], schemas.schema["name"]) == ("aiosv3.types.my_chat", "MyChatState")
    names = [entry["name"] for entry in schemas.schema["fields"]]
    assert names == ["task_key", "input_offset", "result_offset", "content", "content_key_id", "clearance"]


def test_a_type_without_a_form_is_refused_by_name() -> None:
    class Odd(BaseModel):
        what: complex = 0j

    with pytest.raises(UnsupportedType, match=r"Odd\.what"):
        AgentSchemas("chat", str, str, Topics("t."), Odd)
