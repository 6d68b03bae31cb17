"""Model turns with tool calls: from the journal, and back into the next prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, ModelUnavailable
from aiosv3.agents.steps import ModelStep
from aiosv3.agents.turn import LONGEST_RESULT, ModelTurn, ToolCall, read_turn
from aiosv3.schemas.records import Message, Prompt, Role

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]
TOOLS = '[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]'


def _call(name: str = "f", arguments: Any = "{}", call_id: Any = "a") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_turn_is_read_and_becomes_the_same_message() -> None:
    said = [_call(), _call("g", '{"broken', "b")]
    turn = read_turn({"text": "I look.", "tool_calls": json.dumps(said)}, "1")
    assert turn == ModelTurn("I look.", (ToolCall("a", "f", "{}"), ToolCall("b", "g", '{"broken')))
    message = turn.message()
    assert (message.role, message.content) == (Role.ASSISTANT, "I look.")
    assert json.loads(message.tool_calls or "") == said


def test_a_turn_without_calls() -> None:
    assert ModelTurn("done").message() == Message(Role.ASSISTANT, "done")
    assert read_turn({"text": None, "tool_calls": None}, "1") == ModelTurn("")


@pytest.mark.parametrize("ids", [("", ""), (None, None), ("a", "a")])
def test_every_call_has_an_id_of_its_own_the_same_in_each_replay(ids: tuple[Any, Any]) -> None:
    answer = {"text": "", "tool_calls": [_call(call_id=ids[0]), _call(call_id=ids[1])]}
    first, second = read_turn(answer, "1").tool_calls
    assert first.id != second.id
    assert "" not in (first.id, second.id)
    assert read_turn(answer, "1").tool_calls == (first, second)
    assert read_turn(answer, "2").tool_calls[1].id != second.id


@pytest.mark.parametrize(("written", "read"), [("", "{}"), (None, "{}"), ({"x": 1}, '{"x": 1}')])
def test_arguments_are_text(written: Any, read: str) -> None:
    assert read_turn({"text": "", "tool_calls": [_call(arguments=written)]}, "1").tool_calls[0].arguments == read


def test_a_result_is_bounded_and_says_so() -> None:
    call = ToolCall("a", "f", "{}")
    assert call.result("x" * LONGEST_RESULT) == Message(Role.TOOL, "x" * LONGEST_RESULT, tool_call_id="a")
    told = call.result("x" * (LONGEST_RESULT + 7)).content
    assert told == "x" * LONGEST_RESULT + "\n[7 more characters were left out]"


def test_generate_gives_a_turn_where_one_is_asked_for(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        prompt = Prompt((Message(Role.USER, "x"),), None, 9, tools=TOOLS)
        turn = await ctx.generate(prompt, output_type=ModelTurn)
        return f"{turn.text} {turn.tool_calls[0].name}"

    task = play(program)
    step = task.steps["1"]
    assert isinstance(step, ModelStep)
    assert step.route.needs == ("tools",)
    assert step.route.max_tokens == 9
    task.answer("1", content=json.dumps({"text": "hm", "tool_calls": json.dumps([_call()])}))
    assert task.ended.value == "hm f"


def test_a_plain_text_may_be_asked_for_as_a_turn(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return (await ctx.generate("x", output_type=ModelTurn)).text

    task = play(program)
    step = task.steps["1"]
    assert isinstance(step, ModelStep)
    assert (step.prompt.output_schema, step.route.needs) == (None, ())
    task.answer("1", "yes")
    assert task.ended.value == "yes"


@pytest.mark.parametrize(
    "content",
    ["3", "[]", "{}", '{"text": "", "tool_calls": "{"}', '{"text": "", "tool_calls": [3]}', '{"tool_calls": null}'],
)
def test_an_answer_that_is_no_turn(play: NewPlay, content: str) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            await ctx.generate("x", output_type=ModelTurn)
        except ModelUnavailable as error:
            return error.message[:27]
        return "taken"

    task = play(program)
    task.answer("1", content=content)
    assert task.ended.value == "the answer cannot be read: "


def test_calls_and_results_count_as_part_of_the_request(play: NewPlay) -> None:
    def asking(*messages: Message) -> str:
        async def program(ctx: Context, _value: str) -> str:
            return await ctx.generate(Prompt(messages, None, 9))

        return play(program).asked[0].hash

    plain = asking(Message(Role.ASSISTANT, "x"), Message(Role.TOOL, "y"))
    hashes = {
        plain,
        asking(Message(Role.ASSISTANT, "x", tool_calls="[]"), Message(Role.TOOL, "y")),
        asking(Message(Role.ASSISTANT, "x", tool_call_id="[]"), Message(Role.TOOL, "y")),
        asking(Message(Role.ASSISTANT, "x"), Message(Role.TOOL, "y", tool_call_id="a")),
    }
    assert len(hashes) == 4
    # As it was before messages had these fields: open journals of that time go on.
    assert plain == "aedf6c5ab46616ce"
