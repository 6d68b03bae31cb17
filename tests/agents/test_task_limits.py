"""How one task ends when it does not end well: tokens, deadline, limits, failures of the agent's own code."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, Denied, Limits, ModelUnavailable
from aiosv3.agents.steps import reply_token
from aiosv3.schemas.headers import Clearance, Grant
from aiosv3.schemas.records import JournalKind, Outcome, StepFailure, Usage

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]


async def asks(ctx: Context, _value: str) -> str:
    return await ctx.generate("a")


async def asks_forever(ctx: Context, _value: str) -> str:
    turn = 0
    while True:
        turn += 1
        await ctx.generate(f"{turn}")


def test_what_answers_have_used_adds_up(play: NewPlay) -> None:
    async def twice(ctx: Context, _value: str) -> str:
        await ctx.generate("a")
        return await ctx.generate("b")

    task = play(twice)
    content = json.dumps({"text": "ok", "tool_calls": None})
    for step, usage in (("1", Usage(1, 2, 3, 4, 5, 6, 7, estimated=True)), ("2", Usage(1, 20, 30, 40, 50, 60, 70))):
        task.feed(task.record(JournalKind.ANSWER, step, usage=usage, content=content))
    assert task.run.usage == Usage(2, 22, 33, 44, 55, 66, 77, estimated=True)


# -- forged tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", "0" * 16])
def test_an_answer_without_the_right_token_is_ignored(play: NewPlay, token: str | None) -> None:
    task = play(asks)
    task.answer("1", "forged", token=token)
    assert task.run.forged == 1
    assert task.run.usage.model_calls == 0
    task.answer("1", "true")
    assert task.ended.value == "true"


def test_a_token_is_good_for_one_step_of_one_task(play: NewPlay) -> None:
    async def two(ctx: Context, _value: str) -> str:
        return "".join(await asyncio.gather(ctx.generate("a"), ctx.generate("a")))

    task, other = play(two), play(two, task_id="other")
    tokens = [run.token(step) for run in (task.run, other.run) for step in run.waiting.values()]
    assert len(set(tokens)) == 4
    task.answer("2", "forged", token=tokens[0])
    assert task.run.forged == 1


def test_a_forged_answer_to_a_step_that_was_not_asked_yet_stops_nothing(play: NewPlay) -> None:
    task = play(asks)
    task.feed(task.record(JournalKind.ANSWER, "99", token="0" * 16, request_hash="0" * 16))
    assert task.run.stuck is None
    assert task.run.forged == 1


def test_a_true_answer_to_a_step_that_was_not_asked_is_a_divergence(play: NewPlay) -> None:
    task = play(asks)
    token = reply_token(b"a secret of tests", "t", "99", "0" * 16)
    task.feed(task.record(JournalKind.ANSWER, "99", token=token, request_hash="0" * 16))
    assert "step 99" in (task.run.stuck or "")


# -- deadline and limits ----------------------------------------------------------------------------------------------


def test_the_deadline_ends_a_task(play: NewPlay) -> None:
    ended: list[str] = []

    async def program(ctx: Context, _value: str) -> str:
        try:
            return await ctx.generate("a")
        except asyncio.CancelledError:
            ended.append("cleaned up")
            raise

    task = play(program, limits=Limits(deadline=timedelta(minutes=3)))
    task.fire()
    failure = task.failed
    assert ended == ["cleaned up"]
    assert (task.ended.outcome, failure.type, failure.step) == (Outcome.FAILED, "StepTimeout", "deadline")
    assert "0:03:00" in failure.message
    task.answer("1", "too late")
    assert task.ended.outcome is Outcome.FAILED


def test_the_number_of_model_calls_is_limited(play: NewPlay) -> None:
    task = play(asks_forever, limits=Limits(model_calls=2))
    task.answer("1")
    task.answer("2")
    assert task.failed.type == "BudgetExceeded"
    assert task.failed.message == "this task already made its 2 model calls"
    assert task.replay().view() == task.view()


def test_money_is_limited_by_what_was_spent(play: NewPlay) -> None:
    task = play(asks_forever, limits=Limits(usd_micros=1_000))
    task.answer("1", cost=999)
    assert task.steps["2"].route.usd_micros == 1
    task.answer("2", cost=1)
    assert task.failed.message == "this task has spent 0.001000 of its 0.001000 US dollars"
    assert task.replay().view() == task.view()


@pytest.mark.parametrize(("granted", "own", "budget"), [(5, 9, 5), (9, 5, 5), (None, 7, 7)])
def test_the_smaller_budget_holds(play: NewPlay, granted: int | None, own: int, budget: int) -> None:
    grant = Grant("acme", "t", Clearance.PUBLIC, usd_micros=granted, depth=1)
    assert play(asks, grant=grant, limits=Limits(usd_micros=own)).run.spending.budget == budget


@pytest.mark.parametrize(("max_usd", "limit"), [("0.000002", 2), ("1", 9), (None, 9)])
def test_one_call_may_have_a_limit_of_its_own(play: NewPlay, max_usd: str | None, limit: int) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return await ctx.generate("a", max_usd=max_usd)

    assert play(program, limits=Limits(usd_micros=9)).steps["1"].route.usd_micros == limit


@pytest.mark.parametrize("way", ["call", "send"])
def test_agents_may_call_each_other_only_so_deep(play: NewPlay, way: str) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return str(await getattr(ctx, way)("child", "x"))

    deep = Grant("acme", "t", Clearance.PUBLIC, depth=8)
    task = play(program, grant=deep)
    assert task.failed.message == "agents call each other 9 deep, the limit is 8"
    assert task.asked == []
    assert play(program, grant=Grant("acme", "t", Clearance.PUBLIC, depth=7)).ids() == ["1"]


@pytest.mark.parametrize(
    ("granted", "own", "expected"),
    [
        (Clearance.PUBLIC, Clearance.CONFIDENTIAL, Clearance.CONFIDENTIAL),
        (Clearance.RESTRICTED, Clearance.PUBLIC, Clearance.RESTRICTED),
    ],
)
def test_the_class_of_data_only_rises(play: NewPlay, granted: Clearance, own: Clearance, expected: Clearance) -> None:
    assert play(asks, grant=Grant("acme", "t", granted, depth=1), clearance=own).run.clearance is expected


# -- what the agent's code may do wrong -------------------------------------------------------------------------------


def test_an_agent_that_spins_is_a_livelock(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        await ctx.generate("a")
        while True:
            await asyncio.sleep(0)

    task = play(program)
    task.answer("1")
    assert task.failed.type == "Livelock"
    assert "still busy" in task.failed.message


@pytest.mark.parametrize("where", ["agent", "branch"])
def test_an_agent_that_exits_fails_and_the_worker_goes_on(play: NewPlay, where: str) -> None:
    async def leaves() -> None:
        sys.exit("goodbye")

    async def program(ctx: Context, _value: str) -> str:
        await ctx.generate("a")
        if where == "agent":
            await leaves()
        else:
            await asyncio.gather(leaves())
        return "still here"

    task = play(program)
    task.answer("1")
    assert task.run.finish is not None, "the other callbacks of the task must run as well"
    assert (task.failed.type, task.failed.message) == ("SystemExit", "goodbye")


class Unspeakable(BaseException):
    """Not even an Exception."""


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("as planned"), "ValueError", "as planned"),
        (ValueError(), "ValueError", "ValueError"),
        (Unspeakable("loud"), "Unspeakable", "loud"),
        (asyncio.CancelledError(), "CancelledError", "the agent cancelled itself"),
    ],
)
def test_what_an_agent_raises_becomes_its_failure(play: NewPlay, error: Any, kind: str, message: str) -> None:
    async def program(_ctx: Context, _value: str) -> str:
        raise error

    failure = play(program).failed
    assert (failure.type, failure.message, failure.retryable) == (kind, message, False)


def test_a_step_error_that_is_not_caught_keeps_all_that_it_says(play: NewPlay) -> None:
    task = play(asks)
    said = StepFailure("ModelUnavailable", "all pools are down", retryable=True, topic="completions.x", offset=3)
    task.fail("1", said)
    assert task.failed == StepFailure("ModelUnavailable", "all pools are down", True, "1", "completions.x", 3)


def test_a_failed_step_raises_where_it_is_awaited(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            return await ctx.generate("a")
        except ModelUnavailable as error:
            return f"{error.message} {error.retryable}"

    task = play(program)
    task.fail("1", StepFailure("ModelUnavailable", "down", retryable=False))
    assert task.ended.value == "down False"


def test_a_failure_that_nobody_awaits_is_no_failure_of_the_task(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        ctx.generate("ignored")
        return await ctx.generate("b")

    task = play(program)
    task.fail("1", StepFailure("Denied", "no", retryable=False))
    task.answer("2", "fine")
    assert task.ended.value == "fine"


def test_an_error_raised_by_hand_is_a_failure_of_the_task(play: NewPlay) -> None:
    async def program(_ctx: Context, _value: str) -> str:
        raise Denied("finance said no", step="3")

    assert play(program).failed == StepFailure("Denied", "finance said no", retryable=False, step="3")


def test_an_answer_that_is_not_json_fails_the_step_not_the_worker(play: NewPlay) -> None:
    for content in ("no json", '"no object"', "{}", None):
        task = play(asks)
        task.answer("1", content=content)
        assert task.failed.type == "ModelUnavailable"


def test_a_task_that_waits_for_nothing_says_so(play: NewPlay) -> None:
    """No record can ever wake it: without a timer step it would hang for good."""

    async def program(_ctx: Context, _value: str) -> str:
        await asyncio.Event().wait()
        return "never"

    assert play(program).run.finish is not None
