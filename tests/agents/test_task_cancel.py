"""Cancels and deadlines of one task: decided by journal order, cleanup within a grace (protocol rule 25)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, Limits, StepTimeout
from aiosv3.agents.facts import GRACE_STEP
from aiosv3.agents.steps import CallStep, CancelStep, Step
from aiosv3.schemas.headers import Clearance, Grant
from aiosv3.schemas.records import JournalKind, Outcome

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]
CHILD_OF_A_TREE = Grant("acme", "root", Clearance.INTERNAL, depth=2)


async def tidy(ctx: Context, _value: str) -> str:
    try:
        return str(await ctx.call("child", "work"))
    finally:
        await ctx.run(lambda: None, name="tidy")


def names(steps: list[Step]) -> list[str]:
    return [f"cancel {step.id}" if isinstance(step, CancelStep) else step.id for step in steps]


@pytest.mark.parametrize("by", ["cancel", "fire"])
def test_cleanup_may_run_steps_and_then_the_task_is_over(play: NewPlay, by: str) -> None:
    task = play(tidy, grant=CHILD_OF_A_TREE)
    task.started()
    assert names(getattr(task, by)()) == ["cancel 1", GRACE_STEP, "=tidy"]
    assert task.run.finish is None
    task.value("=tidy")
    outcome, kind = {"cancel": (Outcome.CANCELLED, "Cancelled"), "fire": (Outcome.FAILED, "StepTimeout")}[by]
    assert (task.ended.outcome, task.failed.type, task.ended.journal_offset) == (outcome, kind, 102)
    assert task.replay().view() == task.view()


def test_a_new_owner_sends_the_cleanup_and_the_cancels_again(play: NewPlay) -> None:
    task = play(tidy, grant=CHILD_OF_A_TREE)
    task.started()
    task.cancel()
    again = task.replay()
    assert set(names(again.asked)) == {"cancel 1", GRACE_STEP, "=tidy"}
    assert again.view() == task.view()


def test_the_grace_is_a_record_after_which_nothing_counts(play: NewPlay) -> None:
    task = play(tidy, limits=Limits(grace=timedelta(seconds=7)))
    task.started()
    task.cancel()
    assert task.run.waiting[GRACE_STEP].due == task.journal[-1].timestamp + 7_000
    task.fire(GRACE_STEP)
    assert (task.ended.outcome, task.ended.journal_offset) == (Outcome.CANCELLED, 102)
    task.value("=tidy")
    assert task.ended.journal_offset == 102
    assert task.replay().view() == task.view()


@pytest.mark.parametrize("forever", [True, False])
def test_swallowing_the_cancel_does_not_make_a_task_live_on(play: NewPlay, forever: bool) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            await ctx.generate("a")
        except asyncio.CancelledError:
            while forever:
                await ctx.generate("more")
        return "as if nothing had been"

    task = play(program)
    task.started()
    task.cancel()
    for step_id in "23":
        if forever:
            task.answer(step_id)
            assert task.run.finish is None
    if forever:
        task.fire(GRACE_STEP)
    assert (task.ended.outcome, task.ended.value, task.failed.type) == (Outcome.CANCELLED, None, "Cancelled")
    assert task.replay().view() == task.view()


def test_what_was_pending_before_the_cancel_gets_no_answer_any_more(play: NewPlay) -> None:
    seen: list[str] = []

    async def program(ctx: Context, _value: str) -> str:
        asked = ctx.generate("a")
        background = asyncio.ensure_future(ctx.generate("b"))
        try:
            return await asked
        finally:
            await asyncio.wait([background])
            seen.append(str(background.cancelled()))
            await ctx.run(lambda: None)

    task = play(program)
    task.started()
    assert names(task.cancel()) == ["cancel grace", GRACE_STEP, "3"]
    assert seen == ["True"]
    for late in "12":
        task.answer(late, "late")
        assert (task.run.finish, task.run.stuck) == (None, None)
    assert task.run.usage.model_calls == 0


@pytest.mark.parametrize("cancel_first", [True, False])
def test_rule_25_the_order_of_the_journal_decides(play: NewPlay, cancel_first: bool) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return await ctx.generate("a")

    task = play(program)
    task.started()
    records: list[Callable[[], Any]] = [task.cancel, lambda: task.answer("1", "done")]
    for write in records if cancel_first else reversed(records):
        write()
    assert task.ended.outcome is (Outcome.CANCELLED if cancel_first else Outcome.OK)
    assert task.replay().view() == task.view()


def test_the_first_of_cancel_and_deadline_says_how_it_ends(play: NewPlay) -> None:
    for first, second, outcome in (("cancel", "fire", Outcome.CANCELLED), ("fire", "cancel", Outcome.FAILED)):
        task = play(tidy)
        task.started()
        getattr(task, first)()
        assert getattr(task, second)() == []
        task.value("=tidy")
        assert task.ended.outcome is outcome


def test_before_it_started_there_is_nothing_to_clean_up(play: NewPlay) -> None:
    """Whoever cancels so early needs no grace, and a replay that has the cancel ahead of ``started`` agrees."""
    task = play(tidy, grant=CHILD_OF_A_TREE)
    assert names(task.cancel()) == ["cancel 1"]
    assert task.ended.outcome is Outcome.CANCELLED
    task.started()
    assert task.replay().view() == task.view()


def test_calls_made_in_cleanup_and_still_open_are_cancelled_too(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            return str(await ctx.call("child", "work"))
        finally:
            await ctx.call("child", "undo")

    task = play(program, grant=CHILD_OF_A_TREE)
    task.started()
    assert names(task.cancel()) == ["cancel 1", GRACE_STEP, "2"]
    assert names(task.fire(GRACE_STEP)) == ["cancel 2"]


def test_sent_tasks_are_not_cancelled_and_a_send_in_cleanup_goes_out(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        await ctx.send("child", "one way")
        try:
            return await ctx.generate("a")
        finally:
            ctx.send("child", "sorry")

    task = play(program, grant=CHILD_OF_A_TREE)
    task.started()
    task.value("1")
    sent = task.cancel()
    assert names(sent) == ["3"]
    assert isinstance(sent[0], CallStep)
    assert task.ended.outcome is Outcome.CANCELLED


@pytest.mark.parametrize("root", [True, False])
def test_the_router_hears_of_a_cancelled_root_alone(play: NewPlay, root: bool) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return await ctx.generate("a")

    task = play(program, grant=None if root else CHILD_OF_A_TREE)
    task.started()
    told = [step for step in task.cancel() if isinstance(step, CancelStep)]
    assert [step.call for step in told] == ([None] if root else [])


def test_a_deadline_tells_the_router_nothing(play: NewPlay) -> None:
    task = play(tidy)
    task.started()
    assert [step.id for step in task.fire() if isinstance(step, CancelStep)] == ["1"]


# -- deadlines of steps -----------------------------------------------------------------------------------------------


async def patient(ctx: Context, _value: str) -> str:
    minute = timedelta(minutes=1)
    steps: list[Any] = [
        ctx.generate("a", timeout=minute),
        ctx.call("child", "b", timeout=minute),
        ctx.run(lambda: None, timeout=minute),
    ]
    found = await asyncio.gather(*steps, return_exceptions=True)
    return " ".join(error.step or "" if isinstance(error, StepTimeout) else "answered" for error in found)


def test_a_timer_before_the_answer_is_a_timeout_of_that_step(play: NewPlay) -> None:
    task = play(patient)
    assert {step.due for step in task.asked} == {task.task.timestamp + 60_000}
    for step_id in "123":
        task.fire(step_id)
    assert task.ended.value == "1 2 3"
    task.answer("1", "late")
    assert task.replay().view() == task.view()


def test_an_answer_before_the_timer_is_an_answer(play: NewPlay) -> None:
    task = play(patient)
    task.answer("1")
    task.result("2", "b")
    task.fire("1")
    task.fire("2")
    task.value("3")
    assert task.ended.value == "answered answered answered"
    assert task.replay().view() == task.view()


def test_a_call_that_timed_out_is_cancelled_at_its_child(play: NewPlay) -> None:
    task = play(patient)
    assert names(task.fire("1")) == []
    assert names(task.fire("2")) == ["cancel 2"]
    task.result("2", "late")
    task.value("3")
    assert task.ended.value == "1 2 answered"


def test_a_timer_of_a_step_that_is_not_asked_for_is_a_divergence(play: NewPlay) -> None:
    task = play(patient)
    task.feed(task.record(JournalKind.TIMER, "9"))
    assert task.run.stuck is not None


def test_a_cancel_ends_a_stuck_task_and_its_children(play: NewPlay) -> None:
    """Nobody has to repair code for a task that is not wanted any more; it cannot clean up, its code does not fit."""
    task = play(tidy, grant=CHILD_OF_A_TREE)
    task.started()
    task.value("9")
    assert "step 9" in (task.run.stuck or "")
    assert names(task.cancel()) == ["cancel 1"]
    assert task.ended.outcome is Outcome.CANCELLED
    assert not task.run.stuck
    assert task.replay().view() == task.view()
