"""Order, cancel, the journal base, and how an ownership ends (protocol rules 10, 24 and 25)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, Limits, Order
from aiosv3.schemas.headers import GRANT, ROUTE, Grant, Route
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.streams.commit import Commit
from aiosv3.streams.log import Outgoing
from aiosv3.streams.tenure import Phase, marker

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker

SHORT = Limits(deadline=timedelta(seconds=30))


SHORT = Limits(deadline=timedelta(seconds=30))


async def asks(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}")


async def asks_twice(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}") + await ctx.generate("and then")


def outcomes(stage: Stage, worker: Worker) -> list[tuple[str, Outcome, Any]]:
    return [(result.task_id, result.outcome, result.content) for result in stage.results(worker)]


# -- rule 24: order ---------------------------------------------------------------------------------------------------


def test_rule_24_start_order_is_task_order_and_tasks_overlap(stage: Stage) -> None:
    stage.worker(asks).start()
    for name in ("t1", "t2", "t3"):
        stage.task(name)
    stage.settle()
    assert stage.asked() == ["t1/1", "t2/1", "t3/1"]


def test_rule_24_start_order_holds_after_a_restore(stage: Stage) -> None:
    began: list[str] = []

    async def notes(ctx: Context, value: str) -> str:
        began.append(value)
        return await ctx.generate(value)

    first = stage.worker(notes).start()
    for name in ("t1", "t2", "t3"):
        stage.task(name, name)
    stage.settle()
    stage.answer(stage.prompts()[1])
    stage.settle()
    first.kill()
    began.clear()
    stage.worker(notes, "b").start()
    assert began == ["t1", "t3"]


def serial(stage: Stage, name: str = "a") -> Worker:
    return stage.worker(asks, name, order=Order.SERIAL).start()


def test_rule_24_serial_tasks_of_a_key_follow_each_other_and_keys_do_not_wait(stage: Stage) -> None:
    worker = serial(stage)
    for name, key in (("t1", "x"), ("t2", "x"), ("t3", "y"), ("t4", None), ("t5", None)):
        stage.task(name, key=key)
    stage.settle()
    assert stage.asked() == ["t1/1", "t3/1", "t4/1", "t5/1"]
    results = stage.wire.hold("ack", "aios.results.worker")
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert stage.asked()[4:] == [], "its result is not on the log for certain"
    results.release()
    stage.settle()
    assert stage.asked()[4:] == ["t2/1"]
    stage.answer(stage.prompts()[-1])
    stage.settle()
    assert [task for task, _, _ in outcomes(stage, worker)] == ["t1", "t2"]
    assert worker.tenure._lanes.keys() == {"y"}


def test_rule_24_serial_order_holds_after_a_restore(stage: Stage) -> None:
    first = serial(stage)
    for name in ("t1", "t2", "t3"):
        stage.task(name, key="x")
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert stage.asked() == ["t1/1", "t2/1"]
    first.kill()
    second = serial(stage, "b")
    assert stage.asked() == ["t1/1", "t2/1", "t2/1"]
    stage.answer(stage.prompts()[-1])
    stage.settle()
    assert stage.asked()[3:] == ["t3/1"]
    stage.answer(stage.prompts()[-1])
    stage.settle()
    assert [task for task, _, _ in outcomes(stage, second)] == ["t1", "t2", "t3"]


def test_rule_24_a_queued_task_keeps_the_records_that_came_for_it(stage: Stage) -> None:
    worker = serial(stage)
    stage.task("t1", key="x")
    stage.task("t2", key="x")
    stage.settle()
    stage.cancel("t2")
    stage.settle()
    assert outcomes(stage, worker) == []
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert [(task, outcome) for task, outcome, _ in outcomes(stage, worker)] == [
        ("t1", Outcome.OK),
        ("t2", Outcome.CANCELLED),
    ]
    assert stage.asked() == ["t1/1"]


# -- rule 25: cancel --------------------------------------------------------------------------------------------------


def test_rule_25_a_cancelled_task_has_a_cancelled_result(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    stage.cancel("t1")
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    (result,) = stage.results(worker)
    assert (result.outcome, result.error.type) == (Outcome.CANCELLED, "Cancelled")
    assert worker.tenure.offsets.open == 0


def test_rule_25_a_cancel_behind_the_answer_is_ignored(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.cancel("t1")
    stage.settle()
    assert outcomes(stage, worker) == [("t1", Outcome.OK, "ok")]
    assert worker.tenure._early.ids() == []


@pytest.mark.parametrize("restarted", [False, True])
def test_rule_25_a_cancel_before_its_task_is_kept_and_applied_at_admission(stage: Stage, restarted: bool) -> None:
    began: list[str] = []

    async def quick(_ctx: Context, value: str) -> str:
        began.append(value)
        return value

    worker = stage.worker(quick).start()
    stage.cancel("t1")
    stage.advance(3)
    if restarted:
        worker.kill()
        worker = stage.worker(quick, "b").start()
    stage.task("t1")
    stage.settle()
    assert began == []
    assert [(task, outcome) for task, outcome, _ in outcomes(stage, worker)] == [("t1", Outcome.CANCELLED)]


def test_rule_25_the_order_of_the_journal_decides_after_a_restart_too(stage: Stage) -> None:
    first = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    first.kill()
    stage.cancel("t1")
    stage.answer(stage.prompts()[0])
    second = stage.worker(asks, "b").start()
    assert [(task, outcome) for task, outcome, _ in outcomes(stage, second)] == [("t1", Outcome.CANCELLED)]
    assert stage.asked() == ["t1/1"]


# -- rule 10: Bbase ---------------------------------------------------------------------------------------------------


class Bases:
    """Rule 10 by brute force, read off the topics. ``admitted``: where the journal ended when a task was admitted."""

    def __init__(self, stage: Stage, worker: Worker) -> None:
        self.stage = stage
        self.worker = worker
        self.admitted: dict[str, int] = {}

    def task(self, name: str, key: str) -> None:
        self.admitted[name] = len(self.stage.broker.records("aios.journal.worker", 0))
        self.stage.task(name, key=key)

    def needed(self) -> list[int]:
        """Offsets of the records that a restore must read: those of tasks without a result."""
        done = {result.task_id for result in self.stage.results(self.worker)}
        codec = self.worker.setup.codec
        return [
            record.offset
            for record in self.stage.broker.records("aios.journal.worker", 0)
            if record.value is not None and codec.decode_as(JournalRecord, record.value).task_id not in done
        ]

    def check(self, base: int) -> None:
        done = {result.task_id for result in self.stage.results(self.worker)}
        needed, end = self.needed(), self.worker.tenure._journal.next
        held = [position for name, position in self.admitted.items() if name not in done]
        assert base <= min([*needed, end]), "a restore would miss records of an open task"
        assert base >= min([*needed, *held, end]), "something that is not needed holds the journal back"


@pytest.mark.parametrize("order", list(Order))
def test_rule_10_the_journal_base_is_what_a_restore_needs(stage: Stage, order: Order) -> None:
    worker = stage.worker(asks_twice, order=order).start()
    bases = Bases(stage, worker)
    actions: list[Callable[[], object]] = [
        lambda: bases.task("t1", "x"),
        lambda: bases.task("t2", "x"),
        lambda: stage.cancel("later"),
        lambda: stage.answer(stage.prompts()[0]),
        lambda: bases.task("t3", "y"),
        lambda: stage.answer(stage.prompts()[-1]),
        lambda: stage.cancel("t1"),
        lambda: bases.task("later", "z"),
        lambda: stage.answer(stage.prompts()[-1]),
        lambda: stage.cancel("t2"),
        lambda: stage.cancel("t3"),
    ]
    seen = set()
    for act in actions:
        act()
        stage.settle()
        for stored in ((), worker.tenure.offsets.stored()):
            bases.check(worker.tenure.journal_floor(stored))
        seen.add(worker.tenure.journal_floor(()))
    assert len(seen) > 3
    assert worker.tenure.live == {}
    stage.advance(2)
    committed = stage.committed()
    assert committed is not None
    assert committed.journal == worker.tenure._journal.next


def test_rule_10_restores_from_the_committed_base_have_all_records_of_an_open_task(stage: Stage) -> None:
    """Each owner deletes what lies below its commit, as rule 11 allows, and is killed: none may have said too much."""
    worker = stage.worker(asks_twice).start()
    for name in ("closed", "open"):
        stage.task(name)
    stage.settle()
    closed_1, open_1 = stage.prompts()
    stage.answer(closed_1)
    stage.settle()
    stage.answer(stage.prompts()[-1])
    stage.answer(open_1, "first ")
    for number in range(3):
        stage.advance(3)
        committed = stage.committed()
        assert committed is not None
        assert committed.journal > 0
        stage.broker.truncate("aios.journal.worker", 0, committed.journal)
        worker.kill()
        worker = stage.worker(asks_twice, f"next-{number}").start()
        assert list(worker.tenure.live) == ["open"]
        assert worker.tenure.live["open"].run.stuck is None
    assert stage.asked() == ["closed/1", "open/1", "closed/2", *["open/2"] * 4]
    stage.answer(stage.prompts()[-1], "second")
    stage.settle()
    assert outcomes(stage, worker) == [("closed", Outcome.OK, "okok"), ("open", Outcome.OK, "first second")]


def test_a_record_of_a_task_that_is_in_the_stored_set_holds_nothing_back(stage: Stage) -> None:
    for name in ("t0", "t1"):
        stage.task(name)
    stage.commit(Commit(base=0, own=0, journal=0, completed=(1,)))
    stage.journaled(JournalRecord("t1", 1, "1", None, JournalKind.TIMER, Outcome.OK))
    worker = stage.worker(asks).start()
    assert list(worker.tenure.live) == ["t0"]
    assert worker.tenure._early.ids() == []


# -- how an ownership ends --------------------------------------------------------------------------------------------


def test_a_second_owners_marker_ends_the_first(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    tenure = worker.tenure
    _, headers = marker("somebody")
    stage.broker.append(Outgoing("aios.journal.worker", 0, None, None, headers))
    stage.settle()
    assert tenure.phase is Phase.STOPPED
    assert tenure.live == {}


def test_a_full_worker_admits_no_more(stage: Stage) -> None:
    worker = stage.worker(asks, live_limit=1).start()
    stage.task("t1")
    stage.task("t2")
    stage.settle()
    assert list(worker.tenure.live) == ["t1"]
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert list(worker.tenure.live) == ["t2"]


def test_drain_does_not_wait_for_open_tasks_and_commits(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    began = stage.now
    assert worker.tenure.idle()
    stage.finish(worker.processor.drain(grace=10.0))
    assert stage.now - began < 1
    assert stage.committed() is not None


def test_a_deadline_ends_a_task_that_nobody_answers(stage: Stage) -> None:
    worker = stage.worker(asks, limits=SHORT).start()
    stage.task("t1")
    stage.settle()
    stage.advance(31)
    (result,) = stage.results(worker)
    assert (result.error.type, result.error.step) == ("StepTimeout", "deadline")
    assert stage.noted() == [("STARTED", None), ("TIMER", "deadline")]


def test_a_deadline_holds_for_the_next_owner(stage: Stage) -> None:
    first = stage.worker(asks, limits=SHORT).start()
    stage.task("t1")
    stage.settle()
    first.kill()
    stage.advance(31)
    second = stage.worker(asks, "b", limits=SHORT).start()
    stage.advance(1)
    assert [result.error.type for result in stage.results(second)] == ["StepTimeout"]


def test_a_task_past_its_deadline_is_not_started(stage: Stage) -> None:
    stage.task("t1")
    stage.advance(31)
    worker = stage.worker(asks, limits=SHORT).start()
    (result,) = stage.results(worker)
    assert result.error.message == "past its deadline before it could be started"
    assert stage.asked() == []
    assert stage.noted() == []


def test_a_task_that_waits_for_nothing_ends_at_its_deadline(stage: Stage) -> None:
    async def program(_ctx: Context, _value: str) -> str:
        await asyncio.Event().wait()
        return "never"

    worker = stage.worker(program, limits=SHORT).start()
    stage.task("t1")
    stage.settle()
    stage.advance(31)
    assert len(stage.results(worker)) == 1


def test_limits_reach_the_requests(stage: Stage) -> None:
    stage.worker(asks, limits=Limits(usd_micros=77)).start()
    stage.task("t1", headers=[("ce_costlimitusd", b"0.00005")])
    stage.settle()
    (request,) = stage.prompts()
    assert Grant.decode(request.header(GRANT) or b"").usd_micros == 50
    assert Route.decode(request.header(ROUTE) or b"").usd_micros == 50
