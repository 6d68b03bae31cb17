"""What an own-log record makes besides its forward is on the log before its input is complete, whoever found it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.headers import CE_ID
from aiosv3.streams.commit import Commit
from aiosv3.streams.effector import EffectorTenure, Request
from aiosv3.streams.log import Committed, Outgoing, Record
from aiosv3.streams.tenure import Tenure, Wiring

if TYPE_CHECKING:
    from tests.streams.conftest import Stage, Worker

BESIDE = "journal"
SOON_S = 0.1
"""Longer than what answers make besides is gathered for."""


def settlement(answer: Outgoing | Record) -> tuple[Outgoing, ...]:
    if answer.value == b"unreadable":
        raise MalformedValue("nobody can read this")
    name = dict(answer.headers)[CE_ID]
    return (Outgoing(BESIDE, 0, None, b"cost of " + (answer.value or b""), [(CE_ID, name)]),)


def opened(worker: Worker, wiring: Wiring, partition: int, committed: Committed | None, start: Commit) -> Tenure:
    return EffectorTenure(
        wiring,
        partition,
        committed,
        start,
        effector=worker.effector,
        limit=10,
        dead_letters="dead-letters",
        beside=settlement,
    )


def settling(stage: Stage, name: str) -> Worker:
    worker: Worker = stage.worker(name, open_tenure=lambda *where: opened(worker, *where))
    return worker


def costs(stage: Stage) -> list[bytes | None]:
    return stage.values(BESIDE)


def test_it_goes_out_after_the_forward_and_the_input_waits_for_both(stage: Stage) -> None:
    worker = settling(stage, "a").start()
    acks = stage.wire.hold("ack", BESIDE)
    stage.request("x")
    stage.settle()
    assert stage.replies() == [b"x by a"]
    assert worker.tenure.offsets.base == 0
    stage.advance(SOON_S)
    assert costs(stage) == [b"cost of x by a"]
    assert worker.tenure.offsets.base == 0
    acks.release()
    stage.settle()
    assert worker.tenure.offsets.base == 1


def test_that_of_several_answers_goes_out_together(stage: Stage) -> None:
    settling(stage, "a").start()
    for name in ("x", "y", "z"):
        stage.request(name)
    stage.settle()
    assert len(stage.replies()) == 3
    assert costs(stage) == []
    stage.advance(SOON_S)
    assert costs(stage) == [b"cost of x by a", b"cost of y by a", b"cost of z by a"]


def test_rule_06_what_is_not_sent_when_the_partition_goes_is_left_to_its_next_owner(stage: Stage) -> None:
    worker = settling(stage, "a").start()
    stage.request("x")
    stage.settle()
    worker.tenure.stop()
    stage.advance(SOON_S)
    assert costs(stage) == []
    assert worker.tenure.offsets.base == 0


def test_an_answer_given_again_makes_it_again(stage: Stage) -> None:
    settling(stage, "a").start()
    for _ in range(2):
        stage.request("x")
        stage.advance(SOON_S)
    assert costs(stage) == [b"cost of x by a"] * 2


def test_an_answer_that_came_second_makes_its_own(stage: Stage) -> None:
    """Two calls were made and both are paid; one is forwarded."""
    worker = settling(stage, "a").start()
    worker.effector.on_work = worker.effector.gated
    offset = stage.request("x")
    stage.settle()
    stage.own_record("x", offset, b"x by z")
    worker.effector.open("x")
    stage.advance(SOON_S)
    assert stage.replies() == [b"x by z"]
    assert set(costs(stage)) == {b"cost of x by z", b"cost of x by a"}


def test_what_landed_behind_all_that_is_known_is_found_by_a_look(stage: Stage) -> None:
    worker = settling(stage, "a").start()
    offset = stage.request("x")
    stage.settle()
    stage.own_record("x", offset, b"x by z")
    stage.advance(6)
    assert costs(stage) == [b"cost of x by a", b"cost of x by z"]
    stage.request("y")
    stage.settle()
    assert stage.replies() == [b"x by a", b"y by a"]
    assert worker.tenure.own.known == len(stage.broker.records("answers"))


def test_a_restore_reads_from_what_is_not_acknowledged(stage: Stage) -> None:
    worker = settling(stage, "a").start()
    offset = stage.request("x")
    stage.advance(SOON_S)
    stage.wire.hold("append", BESIDE)
    second = stage.own_record("x", offset, b"x by z").offset
    stage.advance(6)
    assert worker.tenure.own_floor(()) == second


def test_what_nobody_can_read_holds_up_nothing(stage: Stage) -> None:
    stage.own_record("old", 0, b"unreadable")
    worker = settling(stage, "a").start()
    stage.request("x")
    stage.advance(SOON_S)
    assert worker.tenure.offsets.base == 1
    assert costs(stage) == [b"cost of x by a"]


def test_without_anything_beside_nobody_looks(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.own_record("x", 0, b"x by z")
    stage.advance(20)
    assert worker.tenure.own.known == 1
    assert costs(stage) == []


def test_a_dead_letter_without_an_answer_is_told_of_before_its_input_is_complete(stage: Stage) -> None:
    def told(record: Record) -> tuple[Outgoing, ...]:
        return (Outgoing(BESIDE, 0, None, record.value, []),)

    def opening(wiring: Wiring, partition: int, committed: Committed | None, start: Commit) -> Tenure:
        return EffectorTenure(
            wiring,
            partition,
            committed,
            start,
            effector=worker.effector,
            limit=10,
            dead_letters="dead-letters",
            burial=told,
        )

    def unreadable(record: Record) -> Request:
        raise MalformedValue("nobody can read this")

    worker = stage.worker("a", open_tenure=opening)
    worker.effector.read = unreadable  # type: ignore[method-assign]
    worker.start()
    acks = stage.wire.hold("ack", BESIDE)
    stage.request("x", b"no id")
    stage.settle()
    assert costs(stage) == [b"no id"]
    assert worker.tenure.offsets.base == 0
    acks.release()
    stage.settle()
    assert worker.tenure.offsets.base == 1
