"""One request, one answer on the own log, forwarded: duplicates, failures and the end of an ownership included."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.schemas.errors import AiosError, RegistryUnavailable, WireError
from aiosv3.schemas.headers import CE_ID
from aiosv3.streams.commit import METADATA_LIMIT, Commit
from aiosv3.streams.effector import Request, Unresolved
from aiosv3.streams.errors import Rejected, Retryable
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.testing import TopicSettings

if TYPE_CHECKING:
    from tests.streams.conftest import Stage, Worker

ATTEMPTS = 5


def gated(worker: Worker) -> Worker:
    worker.effector.on_work = worker.effector.gated
    return worker


def finished(stage: Stage, base: int) -> Callable[[], bool]:
    def reached() -> bool:
        commit = stage.committed()
        return commit is not None and commit.base == base

    return reached


def dead_ids(stage: Stage) -> list[bytes | None]:
    return [record.header(CE_ID) for record in stage.broker.records("dead-letters")]


def test_a_request_is_answered_on_the_own_log_and_forwarded(stage: Stage) -> None:
    worker = stage.worker("a").start()
    offset = stage.request("x")
    stage.run(finished(stage, offset + 1))
    assert stage.values("answers") == [b"x by a"]
    assert stage.replies() == [b"x by a"]
    assert worker.effector.epochs == [worker.tenure.epoch]
    assert worker.metric("records_received_total") == worker.metric("records_completed_total") == 1


def test_nothing_to_forward_completes_too(stage: Stage) -> None:
    worker = stage.worker("a").start()
    worker.effector.on_forward = lambda answer: None
    stage.request("x")
    stage.run(finished(stage, 1))
    assert stage.replies() == []


def test_forwarding_waits_for_the_own_log(stage: Stage) -> None:
    """An answer that is seen outside and not on the own log would be made a second time after a crash."""
    stage.worker("a").start()
    appends = stage.wire.hold("append", "answers")
    stage.request("x")
    stage.settle()
    assert appends.messages
    assert stage.replies() == []
    appends.release()
    stage.settle()
    assert stage.replies() == [b"x by a"]


def test_completing_waits_for_the_forward(stage: Stage) -> None:
    worker = stage.worker("a").start()
    forwards = stage.wire.hold("ack", "replies")
    stage.request("x")
    stage.settle()
    assert stage.replies() == [b"x by a"]
    assert worker.tenure.offsets.base == 0
    forwards.release()
    stage.settle()
    assert worker.tenure.offsets.base == 1


def test_a_forward_with_an_unknown_outcome_is_sent_again(stage: Stage) -> None:
    worker = stage.worker("a").start()
    forwards = stage.wire.hold("append", "replies")
    stage.request("x")
    stage.settle()
    forwards.drop()
    stage.run(lambda: worker.tenure.offsets.base == 1)
    assert stage.replies() == [b"x by a"]


def test_a_forward_that_is_refused_for_good_is_a_dead_letter(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.limit_bytes("replies", 10)
    stage.request("x")
    stage.run(lambda: worker.tenure.offsets.base == 1)
    assert dead_ids(stage) == [b"x"]


def test_no_more_than_the_limit_is_in_work(stage: Stage) -> None:
    worker = gated(stage.worker("a", limit=2)).start()
    for name in "xyz":
        stage.request(name)
    stage.settle()
    assert worker.calls == ["x", "y"]
    worker.effector.open("y")
    stage.settle()
    assert worker.calls == ["x", "y", "z"]


# -- rules 3, 4, 15: whose answer counts ------------------------------------------------------------------------------


def test_rule_03_an_answer_that_landed_between_is_forwarded_and_mine_is_not(stage: Stage) -> None:
    worker = gated(stage.worker("a")).start()
    offset = stage.request("x")
    stage.settle()
    stage.own_record("x", offset, b"x by the zombie")
    worker.effector.open("x")
    stage.run(finished(stage, offset + 1))
    assert stage.values("answers") == [b"x by the zombie", b"x by a"]
    assert stage.replies() == [b"x by the zombie"]


def test_rule_04_the_first_record_of_the_id_counts_at_restore(stage: Stage) -> None:
    offset = stage.request("x")
    stage.own_record("x", offset, b"first")
    stage.own_record("x", offset, b"second")
    worker = stage.worker("a").start()
    stage.run(finished(stage, offset + 1))
    assert stage.replies() == [b"first"]
    assert worker.calls == []


def routed(worker: Worker, pool: str) -> None:
    """Makes the worker a router that would choose ``pool`` now; it forwards to the pool that the decision names."""
    effector = worker.effector
    effector.on_work = lambda request, epoch: effector.answer(request, pool.encode())
    effector.on_forward = lambda answer: Outgoing(f"prompts.{answer.decode()}", 0, None, answer, [])


def test_rule_15_a_duplicate_goes_to_the_pool_of_the_first_decision(stage: Stage) -> None:
    for pool in ("small", "large"):
        stage.broker.create_topic(f"prompts.{pool}", 1)
    first = stage.worker("a").start()
    routed(first, "small")
    stage.request("x")
    stage.run(finished(stage, 1))
    routed(first, "large")
    stage.request("x")
    stage.run(finished(stage, 2))
    first.host.kill()
    second = stage.worker("b")
    routed(second, "large")
    second.start()
    stage.request("x")
    stage.run(finished(stage, 3))
    assert stage.values("answers") == [b"small"]
    assert stage.values("prompts.small") == [b"small"] * 3
    assert stage.values("prompts.large") == []


def test_rule_15_a_router_whose_decision_came_second_forwards_the_first(stage: Stage) -> None:
    for pool in ("small", "large"):
        stage.broker.create_topic(f"prompts.{pool}", 1)
    worker = stage.worker("a").start()
    routed(worker, "large")
    offset = stage.request("x")
    stage.own_record("x", offset, b"small")
    stage.run(finished(stage, 1))
    assert stage.values("answers") == [b"small", b"large"]
    assert (stage.values("prompts.small"), stage.values("prompts.large")) == ([b"small"], [])


# -- rule 6: no call, append or commit without the partition ----------------------------------------------------------


def test_rule_06_no_call_starts_without_an_answer_of_the_broker_for_a_session(stage: Stage) -> None:
    worker = stage.worker("a").start()
    cut = [stage.wire.hold(kind) for kind in ("group", "commit")]
    stage.advance(7)
    assert not worker.member.alive()
    stage.request("x")
    stage.advance(5)
    assert worker.calls == []
    assert worker.tenure.offsets.open == 1, "it was admitted and waits"
    for held in cut:
        held.release()
    stage.run(lambda: stage.replies() == [b"x by a"])
    assert worker.calls == ["x"]


def test_rule_06_no_call_is_repeated_without_an_answer_of_the_broker_for_a_session(stage: Stage) -> None:
    worker = stage.worker("a").start()
    alive = True

    def fail(request: Request, epoch: int) -> Awaitable[Outgoing]:
        raise Retryable("the provider is busy")

    async def work(request: Request) -> Outgoing:
        return (await fail(request, 0)) if len(worker.calls) == 1 else worker.effector.answer(request)

    worker.effector.on_work = lambda request, epoch: work(request)
    worker.member.alive = lambda: alive  # type: ignore[method-assign]
    stage.request("x")
    stage.settle()
    assert worker.calls == ["x"]
    alive = False
    stage.advance(20)
    assert worker.calls == ["x"]
    alive = True
    stage.run(lambda: stage.replies() == [b"x by a"])


@pytest.mark.parametrize("how", ["revoked", "lost"])
def test_rule_06_calls_end_and_nothing_is_appended_once_the_partition_is_gone(stage: Stage, how: str) -> None:
    worker = gated(stage.worker("a")).start()
    for name in "xy":
        stage.request(name)
    stage.settle()
    forwards = stage.wire.hold("ack", "answers")
    gate = worker.effector.gates["y"]
    worker.effector.open("x")
    stage.settle()
    assert stage.values("answers") == [b"x by a"], "x is on the own log, and the worker does not know yet"
    tenure = worker.tenure
    if how == "revoked":
        worker.processor.revoked(0)
    else:
        worker.processor.lost(0)
    forwards.release()
    stage.settle()
    assert gate.cancelled(), "the call was made to end"
    stage.advance(60)
    assert stage.values("answers") == [b"x by a"]
    assert stage.replies() == []
    assert tenure.offsets.base == 0


def test_a_call_that_ends_before_it_began_is_closed(stage: Stage) -> None:
    """Else Python says of it, on the worker's error output, that it was never awaited."""
    worker = stage.worker("a").start()
    made: list[Coroutine[Any, Any, Outgoing]] = []

    async def call(request: Request) -> Outgoing:
        return worker.effector.answer(request)

    def work(request: Request, _epoch: int) -> Awaitable[Outgoing]:
        stage.loop.call_soon(worker.processor.lost, 0)
        made.append(call(request))
        return made[-1]

    worker.effector.on_work = work
    stage.request("x")
    stage.settle()
    assert [inspect.getcoroutinestate(each) for each in made] == [inspect.CORO_CLOSED]
    assert stage.values("answers") == []


def test_rule_06_a_late_acknowledgement_of_a_forward_completes_nothing(stage: Stage) -> None:
    worker = stage.worker("a").start()
    acks = stage.wire.hold("ack", "replies")
    stage.request("x")
    stage.settle()
    tenure = worker.tenure
    worker.processor.lost(0)
    acks.release()
    stage.settle()
    assert tenure.offsets.base == 0
    assert worker.metric("records_completed_total") == 0


def test_rule_06_requests_that_were_held_are_not_started_after_the_end(stage: Stage) -> None:
    worker = stage.worker("a").start()
    alive = False
    worker.member.alive = lambda: alive  # type: ignore[method-assign]
    stage.request("x")
    stage.settle()
    worker.processor.lost(0)
    alive = True
    stage.advance(5)
    assert worker.calls == []


# -- rule 8 -----------------------------------------------------------------------------------------------------------


def test_rule_08_a_crowded_set_stops_admission_until_the_head_is_finished(stage: Stage) -> None:
    worker = gated(stage.worker("a"))
    worker.wiring = replace(worker.wiring, set_room=16)
    worker.start()
    for number in range(16):
        stage.request(f"r{number}")
    stage.settle()
    worker.effector.open(*(f"r{number}" for number in range(1, 16, 2)))
    stage.settle()
    stage.request("late")
    stage.settle()
    assert worker.tenure.offsets.crowded()
    assert "late" not in worker.calls
    worker.effector.open("r0", "r2", "r4", "r6")
    stage.settle()
    assert "late" in worker.calls


def test_rule_08_an_overflowing_set_is_cut_and_only_costs_work_that_is_found_again(stage: Stage) -> None:
    worker = gated(stage.worker("a"))
    worker.wiring = replace(worker.wiring, set_room=6)
    worker.start()
    for number in range(12):
        stage.request(f"r{number}")
    stage.settle()
    worker.effector.open(*(f"r{number}" for number in range(1, 12, 2)))
    stage.run(lambda: (commit := stage.committed()) is not None and bool(commit.completed))
    commit = stage.committed()
    assert commit is not None
    assert commit.completed == (1, 3, 5)
    assert len(commit.encode().metadata) <= METADATA_LIMIT
    worker.host.kill()
    second = stage.worker("b").start()
    stage.run(finished(stage, 12))
    assert sorted(second.calls) == ["r0", "r10", "r2", "r4", "r6", "r8"]
    assert len(stage.values("answers")) == 12


# -- rule 9 -----------------------------------------------------------------------------------------------------------


def test_rule_09_the_own_log_position_of_an_admission_holds_until_it_is_finished(stage: Stage) -> None:
    worker = gated(stage.worker("a")).start()
    own = worker.tenure.own
    stage.request("x")
    stage.settle()
    admitted = own.known
    for name in ("y", "z"):
        stage.request(name)
        stage.settle()
        worker.effector.open(name)
        stage.settle()
    snapshot = worker.tenure.snapshot()
    assert snapshot is not None
    assert (snapshot.base, snapshot.completed, snapshot.own) == (0, (1, 2), admitted)
    worker.effector.open("x")
    stage.settle()
    snapshot = worker.tenure.snapshot()
    assert snapshot is not None
    assert (snapshot.base, snapshot.own) == (3, own.known)


def test_rule_09_an_answer_found_further_back_is_held_until_the_duplicate_is_finished(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.request("x")
    stage.run(finished(stage, 1))
    found = worker.tenure.own.memory["x"].offset
    for name in ("y", "z"):
        stage.request(name)
    stage.run(finished(stage, 3))
    acks = stage.wire.hold("ack", "replies")
    stage.request("x")
    stage.settle()
    snapshot = worker.tenure.snapshot()
    assert snapshot is not None
    assert (snapshot.base, snapshot.own) == (3, found)
    acks.release()
    stage.settle()
    snapshot = worker.tenure.snapshot()
    assert snapshot is not None
    assert snapshot.own == worker.tenure.own.known


# -- rule 13 ----------------------------------------------------------------------------------------------------------


def restored_high(stage: Stage, name: str = "a", **settings: Any) -> Worker:
    """A worker whose memory begins at its own marker: all that came before has to be read for a duplicate."""
    end = stage.broker.partition("answers", 0).end
    tasks = stage.broker.partition("tasks", 0).end
    stage.commit(Commit(base=tasks, epoch=0, own=end))
    return stage.worker(name, **settings).start()


def test_rule_13_an_answer_below_the_floor_is_found_before_anything_is_called(stage: Stage) -> None:
    sent = stage.clock_ms()
    stage.own_record("x", 0, b"long ago")
    stage.advance(3_600)
    stage.own_record("later", 0, b"")
    worker = restored_high(stage)
    assert "x" not in worker.tenure.own.memory
    stage.request("x", first_sent=sent)
    stage.run(lambda: stage.replies() == [b"long ago"])
    assert worker.calls == []
    assert worker.metric("answers_repeated_total") == 1


def test_rule_13_the_floor_is_lowered_also_when_the_id_is_known(stage: Stage) -> None:
    sent = stage.clock_ms()
    stage.own_record("x", 0, b"first")
    stage.advance(3_600)
    stage.own_record("x", 0, b"second")
    end = stage.broker.partition("answers", 0).end
    stage.commit(Commit(base=0, epoch=0, own=end - 1))
    worker = stage.worker("a").start()
    assert worker.tenure.own.memory["x"].offset == 1
    stage.request("x", first_sent=sent)
    stage.run(lambda: bool(stage.replies()))
    assert stage.replies() == [b"first"]
    assert worker.calls == []


def cut(stage: Stage) -> int:
    """An own log whose oldest records were deleted; returns a time (ms) before the oldest that is left."""
    long_ago = stage.clock_ms()
    stage.own_record("forgotten", 0, b"")
    stage.advance(3_600)
    stage.own_record("oldest", 0, b"")
    stage.advance(3_600)
    stage.broker.truncate("answers", 0, 1)
    return long_ago


def test_rule_13_what_the_own_log_no_longer_reaches_is_refused_as_stale(stage: Stage) -> None:
    long_ago = cut(stage)
    worker = restored_high(stage)
    stage.request("x", first_sent=long_ago)
    stage.run(lambda: stage.replies() == [b"refused: StaleRequest"])
    assert worker.calls == []
    assert stage.values("answers")[-1] == b"refused: StaleRequest", "the refusal is the answer of the own log"
    stage.run(finished(stage, 1))
    stage.request("fresh")
    stage.run(lambda: stage.replies()[1:] == [b"fresh by a"])


def test_rule_13_every_stale_request_is_refused(stage: Stage) -> None:
    long_ago = cut(stage)
    worker = restored_high(stage)
    for number, name in enumerate("xyz"):
        stage.request(name, first_sent=long_ago + number)
    stage.run(finished(stage, 3))
    assert worker.calls == []
    assert stage.replies() == [b"refused: StaleRequest"] * 3


def test_rule_13_an_answer_that_is_left_counts_although_the_log_was_cut(stage: Stage) -> None:
    long_ago = cut(stage)
    worker = restored_high(stage)
    stage.request("oldest", first_sent=long_ago)
    stage.run(finished(stage, 1))
    assert stage.replies() == [b""]
    assert worker.calls == []


def test_rule_13_a_stale_request_without_a_refusal_is_a_dead_letter(stage: Stage) -> None:
    long_ago = cut(stage)
    worker = restored_high(stage)
    worker.effector.refuses = False
    stage.request("x", first_sent=long_ago)
    stage.run(finished(stage, 1))
    assert dead_ids(stage) == [b"x"]
    assert worker.calls == []


def test_rule_13_a_stale_request_whose_refusal_does_not_fit_is_not_worked_on(stage: Stage) -> None:
    long_ago = cut(stage)
    worker = restored_high(stage)
    answer = worker.effector.answer
    worker.effector.refuse = lambda request, error, epoch: answer(request, b"v" * 1_000)  # type: ignore[method-assign]
    stage.limit_bytes("answers", 1_000)
    stage.request("x", first_sent=long_ago)
    stage.advance(5)
    assert worker.calls == []
    assert dead_ids(stage) == [b"x"]


def test_rule_13_lowering_the_floor_waits_for_a_broker_that_is_away(stage: Stage) -> None:
    sent = stage.clock_ms()
    stage.own_record("x", 0, b"long ago")
    stage.advance(3_600)
    stage.own_record("later", 0, b"")
    worker = restored_high(stage)
    away = stage.wire.hold("question")
    stage.request("x", first_sent=sent)
    stage.advance(70)
    away.drop()
    stage.advance(70)
    assert worker.tenure.reason == ""
    assert stage.replies() == [b"long ago"]


def test_an_ownership_that_ends_at_once_leaves_no_coroutine_behind(stage: Stage) -> None:
    """Python warns of a coroutine that was never awaited when its last reference goes."""
    worker = stage.worker("a").start()
    asked: list[Coroutine[Any, Any, None]] = []

    async def ask() -> None:
        raise AssertionError("the partition is gone: nothing asks any more")

    def read(record: Record) -> Unresolved:
        asked.append(ask())
        return Unresolved(asked[-1])

    worker.effector.on_read = read
    held = stage.wire.hold("fetch")
    stage.request("x")

    def there_and_gone() -> None:
        worker.processor.records(stage.broker.records("tasks"))
        worker.processor.lost(0)

    stage.loop.call_soon(there_and_gone)
    stage.settle()
    held.drop()
    states = [inspect.getcoroutinestate(coro) for coro in asked]
    for coro in asked:
        coro.close()
    assert states == [inspect.CORO_CLOSED]


# -- rule 14 ----------------------------------------------------------------------------------------------------------


def test_rule_14_a_duplicate_in_progress_is_completed_silently(stage: Stage) -> None:
    worker = gated(stage.worker("a")).start()
    stage.request("x")
    stage.request("x")
    stage.settle()
    assert worker.calls == ["x"]
    assert worker.tenure.offsets.finished(1)
    worker.effector.open("x")
    stage.run(finished(stage, 2))
    assert stage.values("answers") == stage.replies() == [b"x by a"]


def test_rule_14_a_duplicate_of_an_answered_request_is_answered_again(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.request("x")
    stage.run(finished(stage, 1))
    stage.request("x")
    stage.run(finished(stage, 2))
    assert worker.calls == ["x"]
    assert stage.values("answers") == [b"x by a"]
    assert stage.replies() == [b"x by a", b"x by a"]
    assert worker.metric("answers_repeated_total") == 1


def test_a_duplicate_waits_for_an_own_log_that_cannot_be_read_for_a_moment(stage: Stage) -> None:
    worker = stage.worker("a").start()
    source = worker.log.read
    batches: list[int] = []

    async def unreadable(topic: str, partition: int, start: int, end: int) -> Any:
        async for batch in source(topic, partition, start, end):
            batches.append(start)
            if len(batches) > 3:
                yield batch

    stage.request("x")
    stage.run(finished(stage, 1))
    worker.log.read = unreadable  # type: ignore[method-assign]
    stage.request("x")
    stage.run(finished(stage, 2))
    assert stage.replies() == [b"x by a", b"x by a"]


def test_rule_14_a_duplicate_waits_for_a_broker_that_is_away(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.request("x")
    stage.run(finished(stage, 1))
    away = stage.wire.hold("question")
    stage.request("x")
    stage.advance(70)
    away.drop()
    stage.advance(70)
    assert worker.tenure.reason == ""
    assert stage.replies() == [b"x by a", b"x by a"]


# -- work that fails --------------------------------------------------------------------------------------------------


def raising(worker: Worker, error: Exception, times: int = 1_000) -> None:
    async def work(request: Request) -> Outgoing:
        if len(worker.calls) <= times:
            raise error
        return worker.effector.answer(request)

    worker.effector.on_work = lambda request, epoch: work(request)


@pytest.mark.parametrize("error", [Retryable("busy"), ValueError("a bug")])
def test_what_may_work_later_is_tried_again(stage: Stage, error: Exception) -> None:
    worker = stage.worker("a").start()
    raising(worker, error, times=ATTEMPTS - 1)
    begun = stage.now
    stage.request("x")
    stage.run(lambda: stage.replies() == [b"x by a"])
    assert worker.calls == ["x"] * ATTEMPTS
    assert stage.now - begun == pytest.approx(0.5 + 1 + 2 + 4), "it backs off"
    assert dead_ids(stage) == []


def test_an_attempt_after_a_failure_may_answer_at_once(stage: Stage) -> None:
    worker = stage.worker("a").start()

    async def fail() -> Outgoing:
        raise Retryable("busy")

    worker.effector.on_work = lambda request, epoch: (
        fail() if len(worker.calls) == 1 else worker.effector.answer(request)
    )
    stage.request("x")
    stage.run(lambda: stage.replies() == [b"x by a"])


@pytest.mark.parametrize(
    ("error", "attempts", "refusal"),
    [
        (Rejected("never"), 1, b"refused: Rejected"),
        (Retryable("busy"), ATTEMPTS, b"refused: Retryable"),
        (ValueError("a bug"), ATTEMPTS, b"refused: AiosError"),
    ],
)
def test_what_never_works_is_a_dead_letter_and_a_refusal(
    stage: Stage, error: Exception, attempts: int, refusal: bytes
) -> None:
    worker = stage.worker("a").start()
    raising(worker, error)
    stage.request("x", b"body")
    stage.run(finished(stage, 1))
    assert worker.calls == ["x"] * attempts
    assert dead_ids(stage) == [b"x"]
    assert stage.values("dead-letters") == [b"body"]
    assert stage.values("answers") == stage.replies() == [refusal]


def test_what_never_works_and_has_no_refusal_is_a_dead_letter_alone(stage: Stage) -> None:
    worker = stage.worker("a").start()
    worker.effector.refuses = False
    raising(worker, Rejected("never"))
    stage.request("x")
    stage.run(finished(stage, 1))
    assert dead_ids(stage) == [b"x"]
    assert stage.values("answers") == []


def test_the_refusal_waits_for_the_dead_letter(stage: Stage) -> None:
    worker = stage.worker("a").start()
    raising(worker, Rejected("never"))
    letters = stage.wire.hold("append", "dead-letters")
    stage.request("x")
    stage.settle()
    assert stage.values("answers") == []
    letters.release()
    stage.run(finished(stage, 1))


@pytest.mark.parametrize("error", [Rejected("never"), Retryable("busy"), ValueError("a bug")])
def test_work_that_raises_at_once_is_treated_alike(stage: Stage, error: Exception) -> None:
    worker = stage.worker("a").start()

    def work(request: Request, epoch: int) -> Outgoing:
        raise error

    worker.effector.on_work = work
    stage.request("x")
    stage.run(finished(stage, 1))
    assert dead_ids(stage) == [b"x"]


def test_a_bug_in_reading_does_not_lose_the_record(stage: Stage) -> None:
    worker = stage.worker("a").start()

    def read(record: Record) -> None:
        if record.header(CE_ID) == b"x":
            raise KeyError("a bug")

    worker.effector.on_read = read
    stage.request("x")
    stage.request("y")
    stage.loop.run_until_idle(10_000)
    stage.loop.exceptions.clear()
    stage.advance(5)
    commit = stage.committed()
    assert commit is None or commit.base == 0 or dead_ids(stage) == [b"x"]


def test_work_that_cancels_itself_has_failed(stage: Stage) -> None:
    """As a client library does that cancels inside; it is not the end of the ownership."""
    worker = stage.worker("a").start()

    async def work(request: Request) -> Outgoing:
        if len(worker.calls) == 1:
            raise asyncio.CancelledError
        return worker.effector.answer(request)

    worker.effector.on_work = lambda request, epoch: work(request)
    stage.request("x")
    stage.advance(60)
    assert stage.replies() == [b"x by a"]


def test_an_answer_that_is_too_large_becomes_a_refusal(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.limit_bytes("answers", 1_000)
    worker.effector.on_work = lambda request, epoch: worker.effector.answer(request, b"v" * 1_000)
    stage.request("x")
    stage.run(finished(stage, 1))
    assert stage.values("answers") == stage.replies() == [b"refused: RecordTooLarge"]
    assert dead_ids(stage) == []


def test_an_answer_that_is_too_large_and_has_no_refusal_is_a_dead_letter(stage: Stage) -> None:
    worker = stage.worker("a").start()
    worker.effector.refuses = False
    stage.limit_bytes("answers", 10)
    stage.request("x")
    stage.run(finished(stage, 1))
    assert dead_ids(stage) == [b"x"]


def test_an_answer_that_the_log_refuses_is_a_dead_letter(stage: Stage) -> None:
    """Not too large: a refusal would be refused too."""
    worker = stage.worker("a").start()
    stage.broker._settings["answers"] = TopicSettings(cleanup="compact")  # takes no record without a key
    stage.request("x")
    stage.run(finished(stage, 1))
    assert dead_ids(stage) == [b"x"]
    assert worker.calls == ["x"]


def test_a_refusal_that_is_too_large_ends_in_a_dead_letter(stage: Stage) -> None:
    stage.worker("a").start()
    stage.limit_bytes("answers", 10)
    stage.request("x")
    for _ in range(5_000):
        stage.loop.run_one()
    assert dead_ids(stage) == [b"x"]


def test_an_error_of_the_runtime_itself_stops_the_partition_by_name(stage: Stage) -> None:
    worker = gated(stage.worker("a")).start()

    def refuse(request: Request, error: AiosError, epoch: int) -> Outgoing:
        raise KeyError("a bug")

    worker.effector.refuse = refuse  # type: ignore[method-assign]
    stage.request("x")
    stage.settle()
    worker.effector.gates["x"].set_exception(Rejected("never"))
    stage.settle()
    assert worker.tenure.phase.value == "stopped"
    assert worker.tenure.reason == "KeyError: 'a bug'"
    stage.advance(5)
    assert stage.committed() == Commit(0, worker.tenure.epoch, 1), "nothing of it is stated as finished"


# -- what nobody can read, and what cannot be read yet ----------------------------------------------------------------


def test_poison_is_a_dead_letter_and_the_others_go_on(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.request("bad", b"poison")
    stage.request("x")
    stage.run(finished(stage, 2))
    assert dead_ids(stage) == [b"bad"]
    assert stage.replies() == [b"x by a"]
    assert worker.metric("dead_letters_total") == 1


def test_poison_is_not_finished_before_its_dead_letter_is_durable(stage: Stage) -> None:
    worker = stage.worker("a").start()
    letters = stage.wire.hold("ack", "dead-letters")
    stage.request("bad", b"poison")
    stage.settle()
    assert worker.tenure.offsets.base == 0
    letters.release()
    stage.settle()
    assert worker.tenure.offsets.base == 1


def test_rule_02_no_dead_letter_is_sent_again_once_the_partition_is_gone(stage: Stage) -> None:
    worker = stage.worker("a").start()
    letters = stage.wire.hold("append", "dead-letters")
    stage.request("bad", b"poison")
    stage.settle()
    worker.processor.lost(0)
    stage.advance(100)
    assert len(letters.messages) == 1
    letters.drop()


def test_a_registry_that_is_away_pauses_the_partition_and_buries_nothing(stage: Stage) -> None:
    worker = stage.worker("a").start()
    away = True

    async def ask() -> None:
        if away:
            raise RegistryUnavailable("no answer")

    asked: list[int] = []

    def read(record: Record) -> Unresolved | None:
        asked.append(record.offset)
        return Unresolved(ask()) if away or len(asked) == 1 else None

    worker.effector.on_read = read
    stage.request("x")
    stage.request("y")
    stage.advance(30)
    assert worker.calls == []
    assert set(asked) == {0}, "y waits behind x"
    assert 50 <= len(asked) <= 70, "twice a second"
    assert stage.values("dead-letters") == []
    away = False
    stage.run(finished(stage, 2))
    assert worker.calls == ["x", "y"]
    assert stage.values("dead-letters") == []


def test_a_schema_that_the_registry_does_not_know_is_poison(stage: Stage) -> None:
    worker = stage.worker("a").start()

    async def ask() -> None:
        raise WireError("there is no schema with id 7")

    worker.effector.on_read = lambda record: Unresolved(ask()) if record.offset == 0 else None
    stage.request("x")
    stage.request("y")
    stage.run(finished(stage, 2))
    assert dead_ids(stage) == [b"x"]
    assert worker.calls == ["y"]


def test_waiting_for_a_schema_ends_with_the_ownership(stage: Stage) -> None:
    worker = stage.worker("a").start()
    schema: Any = stage.loop.create_future()
    worker.effector.on_read = lambda record: Unresolved(schema)
    stage.request("x")
    stage.settle()
    worker.processor.lost(0)
    stage.settle()
    assert schema.cancelled()
    assert worker.calls == []
