"""Cancels and deadlines over a tree, in workers on the double (protocol rule 25)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, Limits, StepTimeout
from aiosv3.schemas.headers import CE_ID, CE_TYPE, ROUTE, Route
from aiosv3.schemas.records import JournalKind, ModelRequest, Outcome
from aiosv3.streams.partitioner import murmur2_partition

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker

EXPIRES = Limits(deadline=timedelta(seconds=20))


async def parent(ctx: Context, _value: str) -> str:
    return str(await ctx.call("child", "work"))


async def child(ctx: Context, _value: str) -> str:
    return await ctx.generate("a")


async def patient_parent(ctx: Context, _value: str) -> str:
    try:
        return str(await ctx.call("child", "work", timeout=timedelta(seconds=5)))
    except StepTimeout as error:
        return f"{error.step} timed out"


async def nothing() -> None:
    """Cleanup."""


def cancels(stage: Stage, agent: str = "child") -> list[str]:
    return [record.task_id for record in stage.journal(agent) if record.kind is JournalKind.CANCEL]


def outcomes(stage: Stage, worker: Worker) -> list[Outcome]:
    return [result.outcome for result in stage.results(worker)]


def begin(stage: Stage, program: Any = parent, **settings: Any) -> Worker:
    worker = stage.worker(program, **settings).start()
    stage.task("t")
    stage.run(lambda: len(stage.children()) == 1)
    stage.settle()
    return worker


@pytest.mark.parametrize("by", ["cancel", "deadline"])
def test_a_child_that_runs_is_cancelled_with_its_parent(stage: Stage, by: str) -> None:
    below = stage.worker(child, "c", name="child").start()
    worker = begin(stage, limits=EXPIRES if by == "deadline" else None)
    stage.run(lambda: len(stage.prompts()) == 1)
    if by == "cancel":
        stage.cancel("t")
    stage.run(lambda: len(stage.results(below)) == 1 and len(stage.results(worker)) == 1)
    assert outcomes(stage, below) == [Outcome.CANCELLED] if by == "cancel" else [Outcome.FAILED]
    assert outcomes(stage, worker) == [Outcome.CANCELLED if by == "cancel" else Outcome.FAILED]
    assert cancels(stage) == ["t/1"]


def test_cancels_to_children_are_acknowledged_before_the_result_is_appended(stage: Stage) -> None:
    worker = begin(stage)
    held = stage.wire.hold("ack", stage.topics.journal("child"))
    stage.cancel("t")
    stage.advance(5)
    assert (cancels(stage), stage.results(worker)) == (["t/1"], [])
    held.release()
    stage.run(lambda: outcomes(stage, worker) == [Outcome.CANCELLED])


def test_rule_25_whoever_may_not_send_now_does_not_end_the_task_either(stage: Stage) -> None:
    """No broker has answered for a session, so cancels wait (rule 6); what was sent before is acknowledged by then."""
    worker = begin(stage, patient_parent)
    timer = stage.wire.hold("append", stage.topics.journal("worker"))
    silent = [stage.wire.hold(kind) for kind in ("group", "commit")]
    stage.advance(8)
    stage.cancel("t")
    stage.advance(1)
    assert len(timer.messages) == 1, "its patience is over, and nobody has read so"
    timer.release()
    stage.advance(1)
    assert (cancels(stage), stage.results(worker)) == ([], [])
    for held in silent:
        held.release()
    stage.run(lambda: outcomes(stage, worker) == [Outcome.CANCELLED])
    assert cancels(stage) == ["t/1"]


def test_a_new_owner_cancels_the_children_again_before_it_ends_the_task(stage: Stage) -> None:
    worker = begin(stage)
    held = stage.wire.hold("append", stage.topics.journal("child"))
    stage.cancel("t")
    stage.run(lambda: bool(held.messages))
    worker.kill()
    stage.wire.holding.remove(held)
    other = stage.worker(parent, "b").start()
    stage.run(lambda: len(stage.results(other)) == 1)
    assert (cancels(stage), outcomes(stage, other)) == (["t/1"], [Outcome.CANCELLED])


def test_a_cancel_that_comes_before_its_child_holds(stage: Stage) -> None:
    worker = begin(stage)
    stage.cancel("t")
    stage.run(lambda: len(stage.results(worker)) == 1)
    below = stage.worker(child, "c", name="child").start()
    stage.run(lambda: len(stage.results(below)) == 1)
    assert (outcomes(stage, below), stage.prompts()[1:]) == ([Outcome.CANCELLED], [])


@pytest.mark.parametrize("key", [None, "", "customer-7"])
def test_a_cancel_finds_the_partition_of_its_child_by_the_same_key(stage: Stage, key: str | None) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return str(await ctx.call("child", "work", key=key))

    worker = begin(stage, program)
    run = worker.tenure.live["t"].run
    stage.cancel("t")
    stage.run(lambda: len(stage.results(worker)) == 1)
    (task,) = stage.children()
    (cancel,) = stage.broker.records(stage.topics.journal("child"), 0)
    assert cancel.key == task.key == (key or "t/1").encode()
    assert murmur2_partition(cancel.key, 6) == murmur2_partition(task.key or b"", 6)
    assert run.finish is not None


def test_the_router_is_told_that_the_root_was_cancelled_before_the_result_is_appended(stage: Stage) -> None:
    worker = stage.worker(child).start()
    stage.task("t")
    stage.run(lambda: len(stage.prompts()) == 1)
    stage.settle()
    held = stage.wire.hold("ack", stage.topics.prompts())
    stage.cancel("t")
    stage.advance(5)
    assert stage.results(worker) == []
    held.release()
    stage.run(lambda: outcomes(stage, worker) == [Outcome.CANCELLED])
    request, news = stage.broker.records(stage.topics.prompts(), 0)
    assert (news.header(CE_TYPE), news.header(CE_ID), news.key) == (b"aiosv3.cancel", b"t!cancel", request.key)
    assert stage.codec.decode_as(ModelRequest, news.value or b"").content is None
    assert Route.decode(news.header(ROUTE) or b"").first_sent >= stage.clock_ms() - 120_000


def test_a_call_that_timed_out_cancels_its_child_and_a_late_answer_changes_nothing(stage: Stage) -> None:
    worker = begin(stage, patient_parent)
    stage.run(lambda: len(stage.results(worker)) == 1)
    assert stage.results(worker)[0].content == "1 timed out"
    assert cancels(stage) == ["t/1"]
    assert ("TIMER", "1") in stage.noted()


def test_a_timer_that_was_journaled_is_not_waited_for_again_by_a_new_owner(stage: Stage) -> None:
    worker = begin(stage, patient_parent)
    results = stage.wire.hold("append", stage.topics.results("worker"))
    stage.run(lambda: bool(results.messages))
    worker.kill()
    stage.wire.holding.remove(results)
    began = stage.now
    other = stage.worker(patient_parent, "b").start()
    stage.run(lambda: len(stage.results(other)) == 1)
    assert stage.now - began < 5
    assert stage.results(other)[0].content == "1 timed out"


def test_cleanup_runs_in_the_worker_and_the_grace_ends_it(stage: Stage) -> None:
    cleaned: list[str] = []

    async def quick() -> None:
        cleaned.append("quick")

    async def forever() -> None:
        cleaned.append("began")
        await asyncio.Event().wait()

    async def program(ctx: Context, _value: str) -> str:
        try:
            return await ctx.generate("a")
        finally:
            await ctx.run(quick)
            await ctx.run(forever)

    worker = stage.worker(program, limits=Limits(grace=timedelta(seconds=9))).start()
    stage.task("t")
    stage.run(lambda: len(stage.prompts()) == 1)
    stage.settle()
    began = stage.now
    stage.cancel("t")
    stage.run(lambda: len(stage.results(worker)) == 1)
    assert (cleaned, outcomes(stage, worker)) == (["quick", "began"], [Outcome.CANCELLED])
    assert 9 <= stage.now - began < 12
    stage.settle()
    assert ("TIMER", "grace") in stage.noted()
    assert not worker.tenure._sender.busy, "a function that nobody waits for is cancelled"


def test_a_function_that_timed_out_is_cancelled(stage: Stage) -> None:
    ended: list[str] = []

    async def slow() -> str:
        try:
            await asyncio.Event().wait()
            return "never"
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def program(ctx: Context, _value: str) -> str:
        try:
            return await ctx.run(slow, timeout=timedelta(seconds=3))
        except StepTimeout as error:
            return str(error)

    worker = stage.worker(program).start()
    stage.task("t")
    stage.run(lambda: len(stage.results(worker)) == 1)
    assert (stage.results(worker)[0].content, ended) == ("no answer within 0:00:03", ["cancelled"])


def test_a_deadline_lets_clean_up_and_is_written_once(stage: Stage) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            return await ctx.generate("a")
        finally:
            await ctx.run(nothing, name="one")
            await asyncio.sleep(3)
            await ctx.run(nothing, name="two")

    worker = stage.worker(program, limits=EXPIRES).start()
    stage.task("t")
    stage.run(lambda: len(stage.results(worker)) == 1)
    (result,) = stage.results(worker)
    assert (result.outcome, result.error.type) == (Outcome.FAILED, "StepTimeout")
    assert [step for kind, step in stage.noted() if kind == "VALUE"] == ["=one", "=two"]
    assert [step for kind, step in stage.noted() if kind == "TIMER"] == ["deadline", "2"]


def test_rules_18_and_25_nothing_is_sent_before_started_is_read_back(stage: Stage) -> None:
    """A cancel below ``started`` tells the next owner that there are no children: nobody may send one."""
    worker = stage.worker(parent).start()
    stage.settle()
    held = stage.wire.hold("fetch", stage.topics.journal(worker.agent.name))
    stage.cancel("t")
    stage.task("t")
    stage.advance(2)
    assert [kind for kind, _ in stage.noted()] == ["CANCEL", "STARTED"]
    assert stage.children() == []
    held.release()
    stage.run(lambda: outcomes(stage, worker) == [Outcome.CANCELLED])
    assert stage.children() == []
