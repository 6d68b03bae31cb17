"""What may have been done already, members that may be dead, evictions, and cancels that nothing follows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from aiosv3.agents import AgentTenure, Context, Limits
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.streams.commit import Commit
from aiosv3.streams.log import Headers

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker

DAY_S = 86_400.0
WAITED_FOR: Headers = [
    (GRANT, Grant("acme", "root", Clearance.INTERNAL, depth=2).encode()),
    (ROUTE, Route("parent", "auto", 0, 0, hash="cafe", first_sent=1).encode()),
    (REPLY, Reply("aios.journal.child", 0, 11, "parent-task", "4", "token").encode()),
]


DAY_S = 86_400.0


async def asks(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}")


async def echoes(_ctx: Context, value: str) -> str:
    return value


def failure(stage: Stage, worker: Worker) -> tuple[str, str]:
    """Type and words of the only result."""
    (result,) = stage.results(worker)
    assert result.outcome is Outcome.FAILED
    return result.error.type, result.error.message


# -- what may have been done already ----------------------------------------------------------------------------------


def test_rule_13_a_task_from_before_the_oldest_result_is_not_done(stage: Stage) -> None:
    first = stage.worker(echoes).start()
    stage.task("t0")
    stage.advance(200)
    first.kill()
    stage.broker.truncate("aios.results.worker", 0, 1)
    worker = stage.worker(echoes, "b").start()
    began = "2025-06-15T15:06:40+00:00"  # virtual time 0
    stage.task("late", headers=[("ce_time", began.encode())])
    stage.settle()
    kind, words = failure(stage, worker)
    assert kind == "StaleTask"
    assert "is not done again" in words


def test_rule_13_a_result_below_the_floor_is_found(stage: Stage) -> None:
    first = stage.worker(echoes).start()
    stage.task("t0", "once")
    stage.task("t1", "twice")
    stage.advance(200)
    first.kill()
    stage.commit(Commit(base=2, own=2, journal=0))
    worker = stage.worker(echoes, "b").start()
    stage.task("t0", "once", headers=[("ce_time", b"2025-06-15T15:06:40Z")])
    stage.settle()
    assert [result.task_id for result in stage.results(worker)] == ["t0", "t1"]
    assert worker.tenure.offsets.base == 3


# -- eviction, and members that may be dead ---------------------------------------------------------------------------


def counting(calls: list[str], gate: Callable[[], Awaitable[object]]) -> Callable[[Context, str], Awaitable[str]]:
    async def slow() -> str:
        calls.append("called")
        await gate()
        return f"value {len(calls)}"

    async def program(ctx: Context, _value: str) -> str:
        return await ctx.run(slow, output_type=str)

    return program


def test_run_functions_are_cancelled_at_stop_and_executed_by_the_next_owner(stage: Stage) -> None:
    calls: list[str] = []
    hangs = counting(calls, asyncio.Event().wait)
    quick = counting(calls, lambda: asyncio.sleep(0))
    first = stage.worker(hangs).start()
    stage.task("t1")
    stage.settle()
    assert not first.tenure.idle()
    tenure = first.tenure
    stage.finish(first.processor.drain(grace=0.1))
    assert tenure._sender.busy is False
    second = stage.worker(quick, "b").start()
    assert calls == ["called", "called"]
    assert [result.content for result in stage.results(second)] == ["value 2"]
    assert [kind for kind, _ in stage.noted()] == ["STARTED", "VALUE"]


def test_of_two_owners_values_the_first_on_the_journal_is_used(stage: Stage) -> None:
    calls: list[str] = []
    worker = stage.worker(counting(calls, lambda: asyncio.sleep(5))).start()
    stage.task("t1")
    stage.settle()
    waiting = worker.tenure.live["t1"].run.waiting["1"]
    zombie = JournalRecord("t1", 0, "1", waiting.hash, JournalKind.VALUE, Outcome.OK, content=json.dumps("zombie's"))
    stage.journaled(zombie)
    stage.advance(10)
    assert [result.content for result in stage.results(worker)] == ["zombie's"]


def test_eviction_sends_nothing(stage: Stage) -> None:
    ended: list[str] = []

    async def program(ctx: Context, _value: str) -> str:
        try:
            async with asyncio.timeout(5):
                return await ctx.generate("a")
        finally:
            ended.append("finally")
            ctx.send("child", "goodbye")

    worker = stage.worker(program).start()
    stage.task("t1")
    stage.settle()
    before = (stage.noted(), stage.asked())
    tenure = worker.tenure
    tenure.stop("evicted")
    stage.answer(stage.prompts()[0])
    stage.advance(60)
    assert ended == ["finally"]
    assert tenure.live == {}
    assert stage.noted()[:-1] == before[0]
    assert stage.asked() == before[1]
    assert stage.children() == []
    assert stage.results(worker) == []


def test_acknowledgements_after_the_stop_change_nothing(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    held = stage.wire.hold("append", "aios.journal.worker")
    stage.task("t1")
    stage.settle()
    worker.tenure.stop("evicted")
    held.release()
    stage.settle()
    assert stage.asked() == []


def test_no_step_is_sent_while_the_member_may_be_dead(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    group = stage.wire.hold("group")
    commits = stage.wire.hold("commit")
    stage.advance(6.5)
    assert not worker.member.alive()
    stage.task("t1")
    stage.advance(2)
    assert stage.asked() == []
    group.release()
    commits.release()
    stage.run(lambda: bool(stage.asked()))
    assert stage.asked() == ["t1/1"]


# -- early cancels that nothing follows -------------------------------------------------------------------------------


def settled(stage: Stage, records: list[JournalRecord]) -> AgentTenure:
    """A worker that has read these records, and then waits for a schema: nothing was admitted yet."""
    worker = stage.worker(asks).start()
    for record in records:
        stage.journaled(record)
    stage.settle()
    return worker.tenure


def test_early_cancels_are_forgotten_after_a_day(stage: Stage) -> None:
    cancel = [JournalRecord(f"n{n}", -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED) for n in range(256)]
    tenure = settled(stage, cancel[:255])
    stage.now += DAY_S + 1
    stage.journaled(cancel[255])
    stage.settle()
    tenure.journal_floor(())
    assert tenure._early.ids() == ["n255"]


def test_expiring_cancels_keeps_the_journals_of_tasks_that_are_not_admitted_yet(stage: Stage) -> None:
    """At a restore the journal comes before the tasks: a task may have waited for more than a day."""
    kept = JournalRecord("waits", 3, "1", "0" * 16, JournalKind.VALUE, Outcome.OK, content="1")
    cancel = [JournalRecord(f"n{n}", -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED) for n in range(255)]
    tenure = settled(stage, [kept, *cancel[:254]])
    stage.now += DAY_S + 1
    stage.journaled(cancel[254])
    stage.settle()
    tenure.journal_floor(())
    assert sorted(tenure._early.ids()) == ["n254", "waits"]


def test_one_early_cancel_does_not_hold_the_journal_back_for_good(stage: Stage) -> None:
    tenure = settled(stage, [JournalRecord("never", -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED)])
    stage.now += DAY_S + 1
    stage.task("t1")
    stage.settle()
    assert tenure.journal_floor(()) > 1


def test_a_deadline_far_away_is_no_trouble(stage: Stage) -> None:
    worker = stage.worker(asks, limits=Limits(deadline=timedelta(days=3000))).start()
    stage.task("t1")
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert [result.outcome for result in stage.results(worker)] == [Outcome.OK]
