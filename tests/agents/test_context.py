"""What an agent asks for, as the steps that its worker gets, and how answers become values or errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import pytest

from aiosv3.agents import AgentFailed, BudgetExceeded, Context, ModelRefused, StepError, ToolFailed, agent
from aiosv3.agents.steps import CallStep, LocalStep, ModelStep, request_hash
from aiosv3.prompts import estimate_complexity, estimate_tokens
from aiosv3.schemas.headers import Clearance, Grant
from aiosv3.schemas.records import JournalKind, Message, Prompt, Role, StepFailure

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]


@dataclass
class Verdict:
    """What models and agents answer here."""

    ok: bool


@agent
async def judge(_ctx: Context, question: str) -> Verdict:
    return Verdict(ok=bool(question))


def model_step(task: Play, step_id: str = "1") -> ModelStep:
    step = task.steps[step_id]
    assert isinstance(step, ModelStep)
    return step


def call_step(task: Play, step_id: str = "1") -> CallStep:
    step = task.steps[step_id]
    assert isinstance(step, CallStep)
    return step


def test_what_a_task_knows_of_itself(play: NewPlay) -> None:
    seen: list[Any] = []

    async def program(ctx: Context, _value: str) -> str:
        seen.extend([ctx.task_id, ctx.key, ctx.tenant, ctx.now()])
        return "done"

    play(program, task_id="t9", key="customer", grant=Grant("acme", "root", Clearance.PUBLIC))
    assert seen == ["t9", "customer", "acme", datetime.fromtimestamp(1_750_000_000, UTC)]


# -- models -----------------------------------------------------------------------------------------------------------


def test_a_prompt_as_text(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return await ctx.generate("hello", system="be kind", max_tokens=7, temperature=0.5)

    task = play(program, model="m-default", pool="p-default")
    step = model_step(task)
    assert step.prompt == Prompt((Message(Role.SYSTEM, "be kind"), Message(Role.USER, "hello")), None, 7, 0.5)
    route = step.route
    assert (route.agent, route.max_tokens, route.model, route.pool, route.needs) == (
        "worker",
        7,
        "m-default",
        "p-default",
        (),
    )
    assert route.tokens == estimate_tokens(step.prompt)
    assert route.complexity == estimate_complexity(step.prompt)
    assert (route.hash, route.first_sent) == (step.hash, task.task.timestamp)


def test_a_step_may_choose_model_pool_and_complexity(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return await ctx.generate("x", model="m", pool="p", complexity=0.75)

    route = model_step(play(program, model="m-default", pool="p-default")).route
    assert (route.model, route.pool, route.complexity) == ("m", "p", 0.75)


def test_a_prompt_that_is_made_already_is_taken_as_it_is(play: NewPlay) -> None:
    prompt = Prompt((Message(Role.USER, "x"),), None, 5, stop=("\n",))

    async def program(ctx: Context, _value: str) -> str:
        return await ctx.generate(prompt)

    assert model_step(play(program)).prompt is prompt


def test_a_typed_answer_asks_for_json_and_is_validated(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        verdict = await ctx.generate("x", output_type=Verdict)
        return str(verdict.ok)

    task = play(program)
    step = model_step(task)
    assert step.route.needs == ("json",)
    assert json.loads(step.prompt.output_schema or "")["properties"]["ok"]["type"] == "boolean"
    task.answer("1", '{"ok": true}')
    assert task.ended.value == "True"


def test_an_answer_of_another_type_is_refused_and_may_be_asked_again(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            await ctx.generate("x", output_type=Verdict)
        except ModelRefused as error:
            return f"{error.retryable} {error.step} {error.message[:36]}"
        return "taken"

    task = play(program)
    task.answer("1", '{"ok": "perhaps"}')
    assert task.ended.value == "True 1 the answer is not of the asked type:"


CHANGES: list[dict[str, Any]] = [
    {"prompt": "b"},
    {"system": "s"},
    {"output_type": Verdict},
    {"max_tokens": 2},
    {"temperature": 0.1},
    {"prompt": Prompt((Message(Role.ASSISTANT, "a"),), None, 1)},
]


MORE: list[dict[str, Any]] = [{"stop": ("x",)}, {"tools": "[]"}]


@pytest.mark.parametrize("change", [*CHANGES, *MORE], ids=lambda change: next(iter(change)))
def test_the_request_hash_tells_requests_apart(play: NewPlay, change: dict[str, Any]) -> None:
    def asking(**settings: Any) -> str:
        settings = {"prompt": "a", "max_tokens": 1, **settings}

        async def program(ctx: Context, _value: str) -> str:
            return str(await ctx.generate(**settings))

        return play(program).asked[0].hash

    extra = {name: change.pop(name) for name in ("stop", "tools") if name in change}
    if extra:
        change["prompt"] = Prompt((Message(Role.USER, "a"),), None, 1, **extra)
    assert asking() == asking()
    assert asking() != asking(**change)


# -- agents -----------------------------------------------------------------------------------------------------------


def test_a_call_carries_json_and_its_answer_is_typed(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        verdict = await ctx.call(judge, "guilty?", key="court")
        return f"{type(verdict).__name__} {verdict.ok}"

    task = play(program)
    step = call_step(task)
    assert (step.agent, step.value, step.key, step.wait) == ("judge", b'"guilty?"', "court", True)
    task.result("1", {"ok": False})
    assert task.ended.value == "Verdict False"


def test_a_call_by_name_is_untyped(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return str(await ctx.call("elsewhere", {"a": [1]}))

    task = play(program)
    assert call_step(task).value == b'{"a":[1]}'
    task.result("1", {"b": 2})
    assert task.ended.value == "{'b': 2}"


def test_a_result_of_another_type_is_a_failure_of_the_call(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            await ctx.call(judge, "x")
        except AgentFailed as error:
            return error.message[:39]
        return "taken"

    task = play(program)
    task.result("1", {"ok": "perhaps"})
    assert task.ended.value == "the answer is not of the declared type:"


@pytest.mark.parametrize("target", [judge, "judge"])
def test_a_send_is_done_when_the_log_has_it(play: NewPlay, target: Any) -> None:
    async def program(ctx: Context, _value: str) -> str:
        sent: object = await asyncio.gather(ctx.send(target, "x"))
        return str(sent)

    task = play(program)
    assert call_step(task).wait is False
    task.value("1")
    assert task.ended.value == "[None]"


def test_call_and_send_are_different_requests(play: NewPlay) -> None:
    def asking(way: str, *args: Any) -> str:
        async def program(ctx: Context, _value: str) -> str:
            return str(await getattr(ctx, way)(*args))

        return play(program).asked[0].hash

    hashes = [asking("call", "a", "x"), asking("send", "a", "x"), asking("call", "b", "x"), asking("call", "a", "y")]
    assert len(set(hashes)) == 4


# -- the worker itself ------------------------------------------------------------------------------------------------


def test_a_run_step_knows_how_to_dump_its_value(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        verdict = await ctx.run(lambda: Verdict(ok=True), output_type=Verdict, attempts=5, name="draw")
        return str(verdict.ok)

    task = play(program)
    step = task.steps["=draw"]
    assert isinstance(step, LocalStep)
    assert (step.attempts, step.dump(step.function())) == (5, '{"ok":true}')
    task.value("=draw", {"ok": True})
    assert task.ended.value == "True"


def test_a_label_is_part_of_what_a_run_step_asks_for(play: NewPlay) -> None:
    def labelled(label: str = "") -> Callable[[Context, str], Any]:
        async def program(ctx: Context, _value: str) -> str:
            return str(await ctx.run(lambda: 1, label=label))

        return program

    task = play(labelled("pay o1"))
    task.value("1", 1)
    assert task.ended.value == "1"
    assert "step 1 asks for something else" in (task.replay(labelled("pay o2")).run.stuck or "")
    # As it was before there were labels: open journals of that time go on.
    assert play(labelled()).asked[0].hash == request_hash("run", "")


def test_a_value_of_another_type_fails_the_run(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return str(await ctx.run(lambda: 1, output_type=int))

    task = play(program)
    task.value("1", "no number")
    assert task.failed.type == "ToolFailed"


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (StepFailure("ToolFailed", "broke", retryable=True), ToolFailed, "broke"),
        (StepFailure("BudgetExceeded", "no money", retryable=False), BudgetExceeded, "no money"),
        (StepFailure("Strange", "odd", retryable=False), ToolFailed, "Strange: odd"),
        (None, ToolFailed, "failed without saying why"),
    ],
)
def test_a_failed_step_raises_its_type(
    play: NewPlay, failure: StepFailure | None, kind: type[StepError], message: str
) -> None:
    caught: list[StepError] = []

    async def program(ctx: Context, _value: str) -> str:
        try:
            await ctx.run(lambda: 1)
        except StepError as error:
            caught.append(error)
        return "caught"

    play(program).fail("1", failure, JournalKind.VALUE)
    assert (type(caught[0]), caught[0].message, caught[0].step) == (kind, message, "1")
    assert caught[0].retryable is (failure.retryable if failure is not None else False)


def test_equal_literals_in_another_order_keep_their_own_schema(play: NewPlay) -> None:
    """They are equal and hash alike: a cache by the type alone would make the request depend on who came first."""

    def schema_of(kind: Any) -> str | None:
        async def program(ctx: Context, _value: str) -> str:
            return str(await ctx.generate("a", output_type=kind))

        step = play(program).asked[0]
        assert isinstance(step, ModelStep)
        return step.prompt.output_schema

    assert Literal["a", "b"] == Literal["b", "a"]
    assert schema_of(Literal["a", "b"]) != schema_of(Literal["b", "a"])
