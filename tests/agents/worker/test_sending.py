"""The sender of steps by itself: unknown outcomes, its stop, timers (the rest is in the tests of the tenure)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.streams.errors import AppendFailed, AppendUnknown
from aiosv3.streams.log import Appended, Outgoing

from .collecting import left_by_twenty

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker

RECORD = Outgoing("aios.prompts", 0, None, b"x", [])


class Recorder:
    """A log that keeps what it is given; the test says what became of it."""

    def __init__(self) -> None:
        self.appends: list[tuple[Outgoing, Callable[[Any], None]]] = []

    def append(self, record: Outgoing, done: Callable[[Any], None]) -> None:
        self.appends.append((record, done))


@pytest.fixture
def recorded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> tuple[Worker, Recorder]:
    """A worker whose sender appends to a recorder."""

    async def program(ctx: Context, _value: str) -> str:
        return await ctx.generate("a")

    worker = stage.worker(program).start()
    recorder = Recorder()
    monkeypatch.setattr(worker.log, "append", recorder.append)
    return worker, recorder


def test_an_append_with_an_unknown_outcome_is_repeated(recorded: tuple[Worker, Recorder]) -> None:
    worker, log = recorded
    told: list[Any] = []
    worker.tenure._sender.append(RECORD, told.append)
    log.appends[0][1](AppendUnknown("no answer"))
    assert [record for record, _ in log.appends] == [RECORD, RECORD]
    assert told == []
    log.appends[1][1](Appended(0, 5, 0))
    assert told == [Appended(0, 5, 0)]


def test_an_append_that_was_refused_is_told(recorded: tuple[Worker, Recorder]) -> None:
    worker, log = recorded
    told: list[Any] = []
    worker.tenure._sender.append(RECORD, told.append)
    refused = AppendFailed("no such topic")
    log.appends[0][1](refused)
    assert told == [refused]
    assert len(log.appends) == 1


@pytest.mark.parametrize("ack", [Appended(0, 5, 0), AppendUnknown("no answer"), AppendFailed("refused")])
def test_nothing_is_told_or_repeated_after_the_stop(recorded: tuple[Worker, Recorder], ack: Any) -> None:
    worker, log = recorded
    told: list[Any] = []
    worker.tenure._sender.append(RECORD, told.append)
    worker.tenure._sender.stop()
    log.appends[0][1](ack)
    assert (told, len(log.appends)) == ([], 1)


async def _sleeps(ctx: Context, _value: str) -> str:
    await asyncio.sleep(5)
    await asyncio.sleep(0.5)
    return str(ctx.now().timestamp())


def test_a_timer_is_journaled_when_it_is_due_and_not_before(stage: Stage) -> None:
    worker = stage.worker(_sleeps).start()
    stage.task("t1")
    stage.settle()
    began = stage.clock_ms()
    stage.advance(4.9)
    assert stage.noted() == [("STARTED", None)]
    stage.advance(1)
    assert stage.noted() == [("STARTED", None), ("TIMER", "1"), ("TIMER", "2")]
    (result,) = stage.results(worker)
    assert float(result.content) == pytest.approx((began + 5_500) / 1000, abs=0.01)


def test_a_timer_that_was_due_while_nobody_ran_fires_at_the_next_start(stage: Stage) -> None:
    first = stage.worker(_sleeps).start()
    stage.task("t1")
    stage.settle()
    first.kill()
    stage.advance(60)
    second = stage.worker(_sleeps, "b").start()
    stage.advance(1)
    assert [result.task_id for result in stage.results(second)] == ["t1"]


def test_a_cancelled_timeout_is_never_journaled(stage: Stage) -> None:
    async def program(ctx: Context, _value: str) -> str:
        async with asyncio.timeout(5):
            word = await ctx.generate("a")
        return word + await ctx.generate("b")

    worker = stage.worker(program).start()
    stage.task("t1")
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.advance(10)
    assert [kind for kind, _ in stage.noted()] == ["STARTED", "ANSWER"]
    assert set(worker.tenure.live["t1"].timers) == {"deadline"}
    stage.answer(stage.prompts()[1])
    stage.settle()
    assert worker.tenure.live == {}


def timer_record(worker: Worker, kind: JournalKind, token: str | None) -> JournalRecord:
    """A record by somebody else for the timer of ``t1``."""
    hashed = worker.tenure.live["t1"].run.waiting["1"].hash
    return JournalRecord("t1", 0, "1", hashed, kind, Outcome.OK, token=token, content="null")


def test_a_timer_that_another_owner_fired_is_not_journaled_again(stage: Stage) -> None:
    worker = stage.worker(_sleeps).start()
    stage.task("t1")
    stage.settle()
    stage.journaled(timer_record(worker, JournalKind.TIMER, None))
    stage.advance(10)
    assert stage.noted() == [("STARTED", None), ("TIMER", "1"), ("TIMER", "2")]


def test_a_forged_record_does_not_disarm_a_timer(stage: Stage) -> None:
    worker = stage.worker(_sleeps).start()
    stage.task("t1")
    stage.settle()
    stage.journaled(timer_record(worker, JournalKind.ANSWER, "0" * 16))
    stage.advance(10)
    assert [result.task_id for result in stage.results(worker)] == ["t1"]


def test_a_timeout_that_is_not_needed_any_more_is_disarmed(stage: Stage) -> None:
    async def program(ctx: Context, _value: str) -> str:
        async with asyncio.timeout(3_000):
            word = await ctx.generate("a")
        return word + await ctx.generate("b")

    worker = stage.worker(program).start()
    stage.task("t1")
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert set(worker.tenure.live["t1"].timers) == {"deadline"}


def test_a_result_waits_for_what_is_still_being_sent(stage: Stage) -> None:
    """A send that nobody awaits must be on the log before the task is closed: nobody would send it again."""

    async def program(ctx: Context, _value: str) -> str:
        ctx.send("child", "one way")
        return "done"

    worker = stage.worker(program).start()
    held = stage.wire.hold("append", "aios.tasks.child")
    stage.task("t1")
    stage.advance(5)
    assert stage.results(worker) == []
    held.release()
    stage.settle()
    assert [result.content for result in stage.results(worker)] == ["done"]
    assert stage.noted() == [("STARTED", None), ("VALUE", "1")]
    assert len(stage.children()) == 1


def test_a_journal_that_takes_nothing_is_not_asked_for_ever(stage: Stage) -> None:
    """The value is lost in words; the deadline ends the task."""
    worker = stage.worker(_sleeps).start()
    stage.task("t1")
    stage.settle()
    sender, live = worker.tenure._sender, worker.tenure.live["t1"]
    before = live.sending
    sender.append(Outgoing("aios.journal.nowhere", 0, None, b"x", []), lambda _ack: None)
    stage.settle()
    assert live.sending == before


def test_started_that_is_refused_is_appended_again(recorded: tuple[Worker, Recorder]) -> None:
    """Without it no step may be sent; a topic that takes nothing now may take it later."""
    worker, log = recorded
    worker.stage.task("t1")
    worker.stage.settle()
    ((started, told),) = log.appends
    worker.stage.loop.call_soon(told, AppendFailed("not now"))
    worker.stage.advance(1)
    assert [record for record, _ in log.appends] == [started, started]


@pytest.mark.parametrize(("between", "topics"), [(0, ["aios.prompts"]), (1, [])])
def test_rule_18_started_is_read_where_it_is_acknowledged_unless_something_stands_before_it(
    recorded: tuple[Worker, Recorder], between: int, topics: list[str]
) -> None:
    """Nothing comes back here: what was appended went to the recorder."""
    worker, log = recorded
    worker.stage.task("t1")
    worker.stage.settle()
    ((_, told),) = log.appends
    place = worker.tenure._journal.next + between
    worker.stage.loop.call_soon(told, Appended(0, place, worker.stage.clock_ms()))
    worker.stage.settle()
    assert [record.topic for record, _ in log.appends[1:]] == topics


@pytest.mark.parametrize("kind", ["model", "function", "timer"])
def test_a_task_that_is_over_leaves_nothing_to_the_collector(stage: Stage, kind: str) -> None:
    """What is in no cycle is freed at once; else thousands of tasks lie about until Python looks for them."""

    async def made() -> str:
        return "made"

    async def program(ctx: Context, value: str) -> str:
        if kind == "model":
            return await ctx.generate(value)
        if kind == "function":
            return await ctx.run(made)
        await asyncio.sleep(1)
        return "slept"

    worker = stage.worker(program).start()
    stage.task("first")
    stage.advance(1)

    def work(ids: list[str]) -> None:
        for each in ids:
            stage.task(each)
        stage.advance(0.5)
        for prompt in stage.prompts()[len(stage.results(worker)) :]:
            stage.answer(prompt)
        stage.advance(5)

    assert left_by_twenty(work) < 20
    assert len(stage.results(worker)) >= 22
    assert {result.outcome for result in stage.results(worker)} == {Outcome.OK}
