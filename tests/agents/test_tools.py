"""Descriptors of tools, and arguments as they go on the log."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, NotRequired

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict, Unpack

from aiosv3.agents import AgentDefinitionError, Context, Secret, Tool, ToolFailed, tool
from aiosv3.agents.steps import ToolStep
from aiosv3.agents.tools import arguments_text

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]


class Update(TypedDict):
    """Arguments of an update."""

    ticket: str
    label: NotRequired[str]


class Login(BaseModel):
    """A model with a secret in it."""

    user: str
    token: Secret


@tool("office", "crm")
def update(**arguments: Unpack[Update]) -> dict[str, bool]:
    """Changes a ticket."""
    raise NotImplementedError


@tool("office", "crm", "close-ticket", idempotent=True)
def close(*, ticket: str, name: str, value: int = 3) -> None:
    raise NotImplementedError


def test_a_signature_becomes_a_tool() -> None:
    assert (update.zone, update.server, update.name, update.description) == (
        "office",
        "crm",
        "update",
        "Changes a ticket.",
    )
    assert (close.name, close.idempotent, close.output_type) == ("close-ticket", True, type(None))
    assert update.input_schema["required"] == ["ticket"]
    assert close.input_schema["properties"]["value"]["default"] == 3
    assert Tool("z", "s", "t").input_schema == {"type": "object"}
    assert Tool("z", "s", "t", schema={"type": "object", "x": 1}).input_schema == {"type": "object", "x": 1}


def test_a_tool_says_what_it_answers() -> None:
    with pytest.raises(AgentDefinitionError, match="says not what it answers"):

        @tool("office", "crm")
        def silent(*, x: int):  # type: ignore[no-untyped-def]
            """Answers what?"""


def test_what_cannot_be_read_is_said_where_it_is_declared() -> None:
    with pytest.raises(AgentDefinitionError, match="its answer cannot be read"):

        @tool("office", "crm")
        def odd(*, x: int) -> Lock:
            raise NotImplementedError


def test_arguments_are_json_with_secrets_by_name() -> None:
    @dataclass
    class Point:
        x: int

    text = arguments_text(
        {
            "when": datetime(2025, 1, 1, tzinfo=UTC),
            "point": Point(1),
            "list": (Secret("a"), 2),
            "login": Login(user="u", token=Secret("b")),
        }
    )
    assert json.loads(text) == {
        "when": "2025-01-01T00:00:00Z",
        "point": {"x": 1},
        "list": [{"$secret": "a"}, 2],
        "login": {"user": "u", "token": {"$secret": "b"}},
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {"$secret": "x"},
        {"a": {"$secret": "x"}},
        {"a": [{"b": {"$secret": "x", "more": 1}}]},
        {"a": float("nan")},
        {"a": object()},
    ],
)
def test_what_is_no_argument(arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolFailed, match=r"only Secret|no JSON"):
        arguments_text(arguments)


def test_arguments_that_never_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ToolFailed, match="nested deeper"):
        arguments_text({"a": endless})


def test_a_call_is_a_step_with_its_answer_typed(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        done = await ctx.call(update, ticket="T-1")
        await ctx.call(close.pinned("last"), ticket="T-1", name="n", value=int(done["ok"]))
        return "closed"

    task = play(program)
    step = task.steps["1"]
    assert isinstance(step, ToolStep)
    assert (step.zone, step.server, step.tool, step.arguments) == ("office", "crm", "update", '{"ticket":"T-1"}')
    task.result("1", {"ok": True})
    assert task.ids() == ["1", "=last"]
    task.result("=last", None)
    assert task.ended.value == "closed"
    assert task.view() == task.replay().view()


def test_other_arguments_are_another_request(play: NewPlay) -> None:
    async def program(ctx: Context, value: str) -> str:
        return str(await ctx.call(update, ticket=value))

    async def changed(ctx: Context, value: str) -> str:
        return str(await ctx.call(update, ticket=value, label="new"))

    task = play(program)
    task.result("1", {})
    assert "asks for something else" in (task.replay(play(changed).agent).run.stuck or "")


def test_an_answer_whose_claim_is_not_there_leaves_the_task_stuck(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return str(await ctx.call(update, ticket="x"))

    task = play(program)
    task.result("1", "preview", claim="sha256:" + "0" * 64)
    assert "not in the claim store" in (task.run.stuck or "")


def test_a_function_may_know_its_step(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return await ctx.run(lambda step_key: step_key, output_type=str)

    task = play(program, task_id="t7")
    assert task.steps["1"].function() == "t7/1"
