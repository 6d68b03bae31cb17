"""Agents of pydantic-ai, unmodified, as tasks: what they do is in the journal, and a replay does nothing again."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from outside_world import Outside, calls, crash_everywhere, script
from pydantic import BaseModel

from aiosv3.agents import Context, Limits, ToolFailed, agent
from aiosv3.agents.steps import LocalStep, ModelStep, TimerStep
from aiosv3.agents.testing import MeshTest
from aiosv3.agents.turn import ModelTurn, ToolCall
from aiosv3.schemas.records import Role

pytest.importorskip("pydantic_ai", reason="the guest needs the extra: pip install 'aiosv3[pydantic-ai]'")

from pydantic_ai import Agent, FunctionToolset, ModelRetry, RunContext
from pydantic_ai.exceptions import UserError
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import AgentStreamEvent, ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel

from aiosv3.agents.guests.pydantic_ai import RoutedModel, durable

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]
CITIES = calls(("weather", {"city": "Oslo"}), ("population", {"city": "Rome"}))


class Verdict(BaseModel):
    """What the guests here find out."""

    city: str
    degrees: int


class Guest:
    """An agent as somebody wrote it, who never heard of us. ``used``: which tools ran, and in which threads."""

    def __init__(self, model: Any = None, **settings: Any) -> None:
        self.used: list[str] = []
        self.threads: set[int] = set()
        self.agent: Agent[None, Any] = Agent(model, name="guest", **settings)

        @self.agent.instructions
        def manners() -> str:
            return "Be brief."

        @self.agent.tool_plain
        def weather(city: str) -> str:
            """The weather of a city."""
            self.used.append(f"weather {city}")
            self.threads.add(threading.get_ident())
            return f"{city} is cold"

        @self.agent.tool(retries=2)
        async def population(ctx: RunContext[None], city: str) -> dict[str, int]:
            """How many live there."""
            self.used.append(f"population {city}")
            if city == "Atlantis":
                raise ModelRetry("no such city")
            return {city: ctx.retry}


def hosting(guest: Guest, **settings: Any) -> Callable[[Context, str], Any]:
    async def program(ctx: Context, value: str) -> str:
        result = await durable(ctx, guest.agent, **settings).run(value)
        return str(result.output)

    return program


def check_replays(task: Play, outside: Outside, guest: Guest) -> None:
    """After a crash at every record it ends alike, and what the journal holds is not done again."""
    assert task.run.stuck is None
    expected = (task.ended.outcome, task.ended.value, task.ended.failure)
    assert set(crash_everywhere(task, outside)) == {expected}
    guest.used.clear()
    assert task.replay().view() == task.view()
    assert guest.used == []


# -- models -----------------------------------------------------------------------------------------------------------


def test_its_requests_go_through_the_router(play: NewPlay) -> None:
    guest, outside = Guest(), Outside(script(CITIES, "done"))
    task = play(hosting(guest))
    outside.serve(task)
    assert task.ended.value == "done"
    first, second = [step for step in task.asked if isinstance(step, ModelStep)]
    assert first.route.needs == ("tools",)
    assert [message.content for message in first.prompt.messages] == ["Be brief.", "in"]
    assert [(message.role, message.content) for message in second.prompt.messages[2:]] == [
        (Role.ASSISTANT, ""),
        (Role.TOOL, "Oslo is cold"),
        (Role.TOOL, '{"Rome":0}'),
    ]
    check_replays(task, outside, guest)


def test_parallel_tools_are_steps_beside_each_other(play: NewPlay) -> None:
    guest, outside = Guest(), Outside(script(CITIES, "done"))
    task = play(hosting(guest))
    outside.serve(task, most=1)
    waiting = list(task.run.waiting.values())
    assert [type(step) for step in waiting] == [LocalStep, LocalStep]
    outside.serve(task, last_first=True)
    assert guest.used == ["population Rome", "weather Oslo"]
    last = [step for step in task.asked if isinstance(step, ModelStep)][-1]
    assert [message.content for message in last.prompt.messages[-2:]] == ["Oslo is cold", '{"Rome":0}']
    check_replays(task, outside, guest)


def test_its_own_model_is_a_step_of_the_worker(play: NewPlay) -> None:
    asked: list[int] = []

    def own(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        asked.append(len(messages))
        if len(messages) > 1:
            return ModelResponse([TextPart("done")])
        return ModelResponse([ToolCallPart("weather", {"city": "Oslo"}), ToolCallPart("population", {"city": "Rome"})])

    guest, outside = Guest(FunctionModel(own)), Outside(script())
    task = play(hosting(guest))
    outside.serve(task)
    assert (task.ended.value, asked) == ("done", [1, 3])
    assert {type(step) for step in task.asked} == {LocalStep}
    asked.clear()
    assert task.replay().view() == task.view()
    assert asked == []
    check_replays(task, outside, guest)


def test_any_agent_can_be_told_to_ask_the_router(play: NewPlay) -> None:
    async def program(ctx: Context, value: str) -> str:
        routed = RoutedModel(ctx, model="m", pool="p", complexity=0.75)
        first = await durable(ctx, guest.agent, model=routed).run(value)
        second = await durable(ctx, guest.agent).run(value, model=routed)
        return f"{first.output} {second.output}"

    guest, outside = Guest(TestModel()), Outside(script("done"))
    task = play(program)
    outside.serve(task)
    assert task.ended.value == "done done"
    assert {type(step) for step in task.asked} == {ModelStep}
    step = task.asked[0]
    assert isinstance(step, ModelStep)
    assert (step.route.model, step.route.pool, step.route.complexity) == ("m", "p", 0.75)


@pytest.mark.parametrize("model", [None, TestModel(custom_output_args={"city": "Oslo", "degrees": 4}, call_tools=[])])
def test_typed_output(play: NewPlay, model: Any) -> None:
    guest = Guest(model, output_type=Verdict)
    answer = calls(("final_result", {"city": "Oslo", "degrees": 4}))
    outside = Outside(script(calls(("final_result", {"city": "Oslo"})), answer))
    task = play(hosting(guest))
    outside.serve(task)
    assert task.ended.value == "city='Oslo' degrees=4"
    check_replays(task, outside, guest)


# -- tools ------------------------------------------------------------------------------------------------------------


def test_the_model_is_told_to_try_again(play: NewPlay) -> None:
    guest = Guest()
    wrong = calls(("population", {"city": "Atlantis"}), ("weather", '{"city'), ("sing", {}))
    outside = Outside(script(wrong, calls(("population", {"city": "Rome"})), "done"))
    task = play(hosting(guest))
    outside.serve(task)
    last = [step for step in task.asked if isinstance(step, ModelStep)][-1]
    told = [message.content for message in last.prompt.messages if message.role is Role.TOOL]
    assert "no such city" in told[0]
    assert "Unknown tool name" in told[2]
    assert told[3] == '{"Rome":1}'
    assert task.ended.value == "done"
    check_replays(task, outside, guest)


def test_plain_functions_run_in_threads_of_the_worker(play: NewPlay) -> None:
    guest = Guest()
    task = play(hosting(guest))
    Outside(script(CITIES, "done")).serve(task)
    assert guest.threads
    assert threading.get_ident() not in guest.threads


def test_a_tool_that_breaks_fails_the_run_after_its_attempts(play: NewPlay) -> None:
    guest = Guest()

    @guest.agent.tool_plain
    def broken() -> str:
        raise OSError("no way")

    async def program(ctx: Context, value: str) -> str:
        try:
            return str((await durable(ctx, guest.agent, attempts=1).run(value)).output)
        except ToolFailed as error:
            return error.message

    task = play(program)
    outside = Outside(script(calls(("broken", {}), ("weather", {"city": "Oslo"}))))
    outside.serve(task)
    assert task.ended.value == "OSError: no way"
    assert {step.attempts for step in task.asked if isinstance(step, LocalStep)} == {1}
    check_replays(task, outside, guest)


def server() -> tuple[Any, list[tuple[int, int]]]:
    from mcp.server import MCPServer

    added: list[tuple[int, int]] = []
    made = MCPServer("calculator", instructions="Adds.")

    @made.tool()
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        added.append((a, b))
        return a + b

    return made, added


def test_an_mcp_server_is_listed_and_called_in_steps(play: NewPlay) -> None:
    mcp, added = server()
    guest = Guest(toolsets=[MCPToolset(mcp, id="calculator")])
    outside = Outside(script(calls(("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})), "done"))
    task = play(hosting(guest))
    outside.serve(task)
    assert (task.ended.value, sorted(added)) == ("done", [(1, 2), (3, 4)])
    last = [step for step in task.asked if isinstance(step, ModelStep)][-1]
    assert [message.content for message in last.prompt.messages[-2:]] == ["3", "7"]
    added.clear()
    assert task.replay().view() == task.view()
    assert added == []
    check_replays(task, outside, guest)


def test_another_operation_at_the_place_of_a_recorded_one_is_a_divergence(play: NewPlay) -> None:
    task = play(hosting(Guest(TestModel())))
    Outside(script()).serve(task)
    changed = task.replay(hosting(Guest(TestModel(), toolsets=[MCPToolset(server()[0], id="calculator")])))
    assert "step 2 asks for something else" in (changed.run.stuck or "")


def test_toolsets_have_ids(play: NewPlay) -> None:
    async def program(ctx: Context, value: str) -> str:
        try:
            return str((await durable(ctx, guest.agent).run(value)).output)
        except UserError as error:
            return error.message

    guest = Guest(toolsets=[FunctionToolset()])
    assert "need to have a unique `id` in order to be used with aiosv3" in play(program).ended.value


# -- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [None, TestModel(custom_output_text="done", call_tools=["weather"])])
def test_a_streamed_run_is_the_same_steps(play: NewPlay, model: Any) -> None:
    async def program(ctx: Context, value: str) -> str:
        async with durable(ctx, guest.agent).run_stream(value) as result:
            pieces = [piece async for piece in result.stream_text(delta=True)]
        return "".join(pieces)

    guest = Guest(model)
    outside = Outside(script(calls(("weather", {"city": "Oslo"})), "done"))
    task = play(program)
    outside.serve(task)
    assert task.ended.value == "done"
    check_replays(task, outside, guest)


def test_events_are_handled_within_the_steps_once(play: NewPlay) -> None:
    seen: list[str] = []

    async def handler(_ctx: RunContext[None], events: AsyncIterable[AgentStreamEvent]) -> None:
        seen.extend([event.event_kind async for event in events])

    guest = Guest(TestModel(custom_output_text="done", call_tools=["weather"]))
    outside = Outside(script())
    task = play(hosting(guest, event_stream_handler=handler))
    outside.serve(task)
    assert task.ended.value == "done"
    assert {"part_start", "function_tool_call", "function_tool_result"} <= set(seen)
    seen.clear()
    assert task.replay().view() == task.view()
    assert seen == []
    check_replays(task, outside, guest)


def test_nodes_can_be_walked(play: NewPlay) -> None:
    async def program(ctx: Context, value: str) -> str:
        async with durable(ctx, guest.agent).iter(value) as run:
            names = [type(node).__name__ async for node in run]
        return ",".join(names)

    guest, outside = Guest(), Outside(script(CITIES, "done"))
    task = play(program)
    outside.serve(task)
    assert task.ended.value.endswith("ModelRequestNode,CallToolsNode,End")
    check_replays(task, outside, guest)


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_ids_and_usage_are_those_of_the_task(play: NewPlay) -> None:
    async def program(ctx: Context, value: str) -> str:
        result = await durable(ctx, guest.agent).run(value)
        return f"{result.run_id} {result.conversation_id} {result.usage.input_tokens} {result.usage.requests}"

    guest, outside = Guest(), Outside(script(CITIES, "done"))
    task = play(program)
    outside.serve(task)
    assert task.ended.value.endswith(" 20 2")
    check_replays(task, outside, guest)


def test_the_limits_of_the_task_end_it_with_their_own_error(play: NewPlay) -> None:
    guest = Guest()
    task = play(hosting(guest), limits=Limits(model_calls=1))
    Outside(script(CITIES)).serve(task)
    assert task.failed.type == "BudgetExceeded"


def test_its_timeout_is_a_timer_of_the_task(play: NewPlay) -> None:
    async def program(ctx: Context, value: str) -> str:
        try:
            return str((await durable(ctx, guest.agent).run(value, timeout=20)).output)
        except TimeoutError:
            return "late"

    guest, outside = Guest(), Outside(script(CITIES, "done"))
    task = play(program)
    timer = task.steps["2"]
    assert isinstance(timer, TimerStep)
    assert timer.due == task.task.timestamp + 20_000
    outside.serve(task)
    assert task.ended.value == "done"
    check_replays(task, outside, guest)
    late = play(program)
    outside.serve(late, most=2)
    late.fire("2")
    assert late.ended.value == "late"
    assert late.replay().view() == late.view()


def test_outside_of_a_task_the_agent_is_as_it_was() -> None:
    guest = Guest(TestModel(custom_output_text="done", call_tools=["weather"]))
    before = dict(vars(guest.agent))
    result = asyncio.run(guest.agent.run("in"))
    assert (result.output, len(guest.used)) == ("done", 1)
    assert vars(guest.agent).keys() == before.keys()


@pytest.mark.parametrize("answered", range(5))
def test_a_task_that_is_dropped_on_the_way_leaves_nothing_behind(play: NewPlay, answered: int) -> None:
    async def program(ctx: Context, value: str) -> str:
        first = await durable(ctx, guest.agent).run(value)
        async with durable(ctx, guest.agent).run_stream(first.output) as result:
            return str(await result.get_output())

    guest, outside = Guest(), Outside(script(CITIES, "done"))
    task = play(program)
    outside.serve(task, most=answered)
    task.run.close()
    gc.collect()  # what was left open would complain now, and warnings are errors
    assert task.run.take() == []


def test_guests_run_beside_each_other_and_after_one_another(play: NewPlay) -> None:
    async def program(ctx: Context, value: str) -> str:
        two = [durable(ctx, guest.agent).run(f"{value} {index}") for index in range(2)]
        first, second = await asyncio.gather(*two)
        third = await durable(ctx, guest.agent).run("again", message_history=first.all_messages())
        return f"{first.output} {second.output} {third.output}"

    guest = Guest()
    outside = Outside(lambda prompt: f"{sum(message.role is Role.USER for message in prompt.messages)}")
    task = play(program)
    outside.serve(task, last_first=True)
    assert task.ended.value == "1 1 2"
    check_replays(task, outside, guest)


def test_a_worker_that_dies_at_any_record_repeats_nothing() -> None:
    guest: Agent[None, str] = Agent(name="guest")
    used: list[str] = []

    @guest.tool_plain
    async def weather(city: str) -> str:
        used.append(city)
        return f"{city} is cold"

    @agent
    async def host(ctx: Context, question: str) -> str:
        return (await durable(ctx, guest).run(question)).output

    mesh = MeshTest(host, crash="everywhere")
    called = ModelTurn("", (ToolCall("a", "weather", '{"city": "Oslo"}'), ToolCall("b", "weather", '{"city": "Rome"}')))
    model = mesh.model([called, "done"])
    assert mesh.run(host, "in") == "done"
    assert model.calls == 2
    assert set(used) == {"Oslo", "Rome"}
