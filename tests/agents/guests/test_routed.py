"""What of a pydantic-ai request travels through the router, and what of an answer comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from outside_world import Outside, calls, script
from pydantic import BaseModel

from aiosv3.agents import Context
from aiosv3.agents.steps import ModelStep
from aiosv3.schemas.records import Message, Role

pytest.importorskip("pydantic_ai", reason="the guest needs the extra: pip install 'aiosv3[pydantic-ai]'")

from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolReturn
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    BinaryContent,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters

from aiosv3.agents.guests.pydantic_ai import durable
from aiosv3.agents.guests.routed import RoutedModel

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]
PICTURE = BinaryContent(b"\x89PNG", media_type="image/png")


class Verdict(BaseModel):
    """What is asked for."""

    ok: bool


def asking(guest: Agent[None, Any], prompt: Any = "in", **settings: Any) -> Callable[[Context, str], Any]:
    async def program(ctx: Context, _value: str) -> str:
        try:
            return str((await durable(ctx, guest).run(prompt, **settings)).output)
        except UserError as error:
            return error.message

    return program


def step(task: Play, at: int = 0) -> ModelStep:
    return [step for step in task.asked if isinstance(step, ModelStep)][at]


def test_instructions_and_settings(play: NewPlay) -> None:
    guest: Agent[None, str] = Agent(instructions="Be brief.", system_prompt="You know Rome.")
    settings = {"max_tokens": 7, "temperature": 0.5, "stop_sequences": ["\n"], "top_p": 0.1}
    prompt = step(play(asking(guest, ["one", "two"], model_settings=settings))).prompt
    assert prompt.messages == (
        Message(Role.SYSTEM, "Be brief."),
        Message(Role.SYSTEM, "You know Rome."),
        Message(Role.USER, "one\n\ntwo"),
    )
    assert (prompt.max_tokens, prompt.temperature, prompt.stop, prompt.tools) == (7, 0.5, ("\n",), None)


def test_a_history_with_calls(play: NewPlay) -> None:
    history = [
        ModelRequest([SystemPromptPart("You know Rome."), UserPromptPart("Weather?")]),
        ModelResponse([ThinkingPart("hm"), TextPart("I look."), ToolCallPart("weather", {"x": 1}, tool_call_id="a")]),
        ModelRequest([ToolReturnPart("weather", {"degrees": 7}, tool_call_id="a")]),
        ModelResponse([TextPart("7 degrees")]),
    ]
    messages = step(play(asking(Agent(), message_history=history))).prompt.messages
    called = '[{"id":"a","type":"function","function":{"name":"weather","arguments":"{\\"x\\":1}"}}]'
    assert messages == (
        Message(Role.SYSTEM, "You know Rome."),
        Message(Role.USER, "Weather?"),
        Message(Role.ASSISTANT, "I look.", tool_calls=called),
        Message(Role.TOOL, '{"degrees":7}', tool_call_id="a"),
        Message(Role.ASSISTANT, "7 degrees"),
        Message(Role.USER, "in"),
    )


def test_an_answer_in_a_schema_is_asked_for_as_one(play: NewPlay) -> None:
    task = play(asking(Agent(output_type=NativeOutput(Verdict))))
    prompt = step(task).prompt
    assert json.loads(prompt.output_schema or "")["properties"].keys() == {"ok"}
    assert step(task).route.needs == ("json",)
    task.answer(step(task).id, '{"ok": true}')
    assert task.ended.value == "ok=True"


def test_other_forms_of_structured_output(play: NewPlay) -> None:
    task = play(asking(Agent(output_type=PromptedOutput(Verdict))))
    assert step(task).prompt.output_schema is None
    assert '"ok"' in step(task).prompt.messages[0].content
    tool = step(play(asking(Agent(output_type=Verdict))))
    assert json.loads(tool.prompt.tools or "")[0]["function"]["name"] == "final_result"
    assert tool.route.needs == ("tools",)


def test_a_wrong_answer_is_told_to_the_model(play: NewPlay) -> None:
    task = play(asking(Agent(output_type=NativeOutput(Verdict))))
    Outside(script('{"ok": "perhaps"}', '{"ok": false}')).serve(task)
    assert task.ended.value == "ok=False"
    told = step(task, 1).prompt.messages[-1]
    assert told.role is Role.USER
    assert "ok" in told.content


@pytest.mark.parametrize("prompt", [["look", PICTURE], [PICTURE]])
def test_what_is_no_text_is_refused_in_words(play: NewPlay, prompt: Any) -> None:
    task = play(asking(Agent(), prompt))
    assert task.ended.value == "a routed model takes text: this prompt has other content"
    assert not task.asked


def test_a_picture_from_a_tool_is_named_to_the_model(play: NewPlay) -> None:
    guest: Agent[None, str] = Agent()

    @guest.tool_plain
    async def draw() -> ToolReturn[list[Any]]:
        return ToolReturn(["a picture", PICTURE])

    task = play(asking(guest))
    Outside(script(calls(("draw", {})), "done")).serve(task)
    assert "PNG" not in str(task.ended.value)
    assert not any("\x89PNG" in message.content for message in step(task, -1).prompt.messages)


def test_an_answer_tells_its_tokens_and_the_time_of_the_task(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        result = await durable(ctx, Agent()).run("in")
        said = result.all_messages()[-1]
        assert isinstance(said, ModelResponse)
        spent = said.usage
        told = (said.timestamp == ctx.now(), spent.input_tokens, spent.output_tokens, spent.cache_read_tokens)
        return f"{told} {spent.cache_write_tokens} {said.model_name} {said.provider_name}"

    task = play(program)
    Outside(script("done")).serve(task)
    assert task.ended.value == "(True, 10, 1, 2) 7 routed aiosv3"


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (3, "does not know what a int is"),
        (ToolReturnPart("draw", [PICTURE], tool_call_id="a"), "this tool returned a file"),
    ],
)
async def test_what_it_does_not_know_is_refused(part: Any, words: str) -> None:
    nobody: Any = None
    model = RoutedModel(nobody)
    assert (model.model_name, model.system, model.provider) == ("routed", "aiosv3", None)
    with pytest.raises(UserError, match=words):
        await model.request([ModelRequest([part])], None, ModelRequestParameters())
