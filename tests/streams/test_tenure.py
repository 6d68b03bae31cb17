"""One ownership from its marker to its end: what is read before anything is done, and what may be said of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import pytest

from aiosv3.schemas.errors import WireError
from aiosv3.schemas.headers import CE_ID, CE_SOURCE, CE_TYPE
from aiosv3.streams.commit import Commit
from aiosv3.streams.errors import AppendFailed, DataLost, RecordTooLarge
from aiosv3.streams.log import Bounds, Committed, Outgoing, Record
from aiosv3.streams.ownlog import Learned, learn_from_headers
from aiosv3.streams.tenure import OWNER_TYPE, Phase, Tenure, Wiring, all_appended, appended, marker

if TYPE_CHECKING:
    from tests.streams.conftest import Stage, Worker


class Plain(Tenure):
    """Takes inputs and never finishes them by itself; commits once its journal was read up to its marker."""

    def __init__(self, wiring: Wiring, partition: int, committed: Committed | None, start: Commit) -> None:
        super().__init__(wiring, partition, committed, start)
        self.taken: list[int] = []
        self.journal_read: list[int] = []
        self.floors: list[tuple[int, ...]] = []
        self.floor = 0

    def learn(self, record: Record) -> Learned:
        return learn_from_headers(record)

    def admit(self, record: Record) -> Awaitable[object] | None:
        self.offsets.admit(record.offset, self.own.known)
        self.taken.append(record.offset)
        return None

    def poison(self, record: Record, error: WireError) -> None:
        raise AssertionError("nothing here is poison")

    def room(self) -> bool:
        return True

    def journaled(self, record: Record) -> None:
        if not self.is_marker(record):
            self.journal_read.append(record.offset)

    def journal_floor(self, stored: Sequence[int]) -> int:
        self.floors.append(tuple(stored))
        return self.floor

    def may_commit(self) -> bool:
        return super().may_commit() and self.marker_seen


def plain(worker: Worker) -> Plain:
    tenure = worker.tenure
    assert isinstance(tenure, Plain)
    return tenure


def join(stage: Stage, worker: Worker) -> None:
    """As ``Worker.start`` without waiting for the restore."""
    stage.finish(worker.processor.start())
    stage.run(lambda: 0 in worker.processor.tenures)


def stopped(tenure: Tenure) -> Callable[[], bool]:
    return lambda: tenure.phase is Phase.STOPPED


def test_a_marker_is_a_null_value_with_a_fresh_id() -> None:
    fresh, headers = marker("router")
    assert headers == [(CE_ID, fresh.encode()), (CE_SOURCE, b"router"), (CE_TYPE, b"aiosv3.owner")]
    assert marker("router")[0] != fresh
    assert OWNER_TYPE == "aiosv3.owner"


@pytest.mark.parametrize(("journal", "topic"), [(False, "answers"), (True, "journal")])
def test_markers_of_agents_stay_out_of_their_results(stage: Stage, journal: bool, topic: str) -> None:
    worker = stage.worker("a", journal=journal, open_tenure=Plain).start()
    (record,) = stage.broker.records(topic)
    assert (record.value, record.header(CE_TYPE)) == (None, b"aiosv3.owner")
    assert stage.broker.records("answers" if journal else "journal") == []
    assert worker.tenure.epoch == record.offset


# -- rule 1 -----------------------------------------------------------------------------------------------------------


def test_rule_01_nothing_is_admitted_before_the_marker_is_acknowledged(stage: Stage) -> None:
    """A predecessor's bytes that are still on their way land below the marker, or behind it and are a gap."""
    offset = stage.request("x")
    worker = stage.worker("a")
    taking = stage.wire.hold("append", "answers")
    join(stage, worker)
    stage.settle()
    assert (worker.tenure.phase, worker.calls) == (Phase.RESTORING, [])
    stage.own_record("x", offset, b"x by the predecessor, late")
    taking.release()
    stage.run(lambda: bool(stage.replies()))
    assert stage.replies() == [b"x by the predecessor, late"]
    assert worker.calls == []


def test_rule_01_the_scan_goes_up_to_the_marker(stage: Stage) -> None:
    """It was acknowledged late: what landed in front of it counts, what landed behind it is a gap for later."""
    before = stage.request("x")
    worker = stage.worker("a")
    acks = stage.wire.hold("ack", "answers")
    stage.own_record("x", before, b"in front")
    join(stage, worker)
    stage.settle()
    stage.own_record("y", 9, b"behind")
    acks.release()
    stage.run(lambda: worker.running)
    assert list(worker.tenure.own.memory) == ["x"]
    assert worker.tenure.own.known == worker.tenure.epoch + 1 == 2


def test_rule_01_with_a_journal_the_end_of_the_own_log_is_asked_after_the_marker(stage: Stage) -> None:
    worker = stage.worker("a", journal=True, open_tenure=Plain)
    taking = stage.wire.hold("append", "journal")
    join(stage, worker)
    stage.settle()
    stage.own_record("x", 3, b"x by the predecessor, late")
    taking.release()
    stage.run(lambda: worker.running)
    assert list(worker.tenure.own.memory) == ["x"]
    assert worker.tenure.own.known == 1


def test_a_marker_with_an_unknown_outcome_is_followed_by_another(stage: Stage) -> None:
    worker = stage.worker("a")
    acks = stage.wire.hold("ack", "answers")
    join(stage, worker)
    stage.settle()
    acks.drop()
    stage.run(lambda: worker.running)
    assert stage.markers() == [0, 1]
    assert worker.tenure.epoch == 1
    assert worker.metric("ownership_contested_total") == 0


def test_a_restore_waits_for_a_broker_that_is_away(stage: Stage) -> None:
    worker = stage.worker("a", open_tenure=Plain)
    join(stage, worker)
    away = stage.wire.hold("question")
    stage.advance(70)
    assert worker.tenure.phase is Phase.RESTORING
    away.drop()
    stage.run(lambda: worker.running)


def test_a_restore_that_is_stopped_does_nothing_more(stage: Stage) -> None:
    worker = stage.worker("a")
    acks = stage.wire.hold("ack", "answers")
    join(stage, worker)
    stage.settle()
    tenure = worker.tenure
    worker.processor.lost(0)
    acks.release()
    stage.advance(5)
    assert (tenure.phase, tenure.reason) == (Phase.STOPPED, "lost")
    assert stage.markers() == [0]


# -- rule 2 -----------------------------------------------------------------------------------------------------------


def test_rule_02_a_foreign_marker_above_mine_stops_calls_appends_and_commits(stage: Stage) -> None:
    worker = stage.worker("a").start()
    worker.effector.on_work = worker.effector.gated
    for name in "xyz":
        stage.request(name)
    stage.settle()
    mine = worker.tenure
    gates = dict(worker.effector.gates)
    stage.advance(2)
    said = len(stage.commits())
    challenge = stage.wire.hold("commit")
    stage.foreign_marker()
    worker.effector.open("x")
    stage.run(stopped(mine))
    stage.settle()
    assert mine.reason == "contested"
    assert gates["y"].cancelled()
    assert gates["z"].cancelled()
    stage.advance(3)
    assert stage.values("answers") == [b"x by a"], "x was sent before the marker was seen"
    assert stage.replies() == []
    assert len(stage.commits()) == said
    assert mine.snapshot() is None
    assert worker.metric("ownership_contested_total") == 1
    assert len(challenge.messages) == 1, "it asks the broker who owns the partition"


def test_rule_02_a_marker_below_mine_is_history(stage: Stage) -> None:
    stage.foreign_marker()
    offset = stage.request("x")
    stage.own_record("x", offset, b"theirs")
    stage.foreign_marker()
    worker = stage.worker("a").start()
    stage.run(lambda: stage.replies() == [b"theirs"])
    assert worker.metric("ownership_contested_total") == 0
    assert len(worker.opened) == 1


def test_rule_02_a_foreign_marker_in_the_journal_contests_too(stage: Stage) -> None:
    stage.foreign_marker("journal")
    worker = stage.worker("a", journal=True, open_tenure=Plain).start()
    stage.run(lambda: plain(worker).marker_seen)
    first = worker.tenure
    assert worker.metric("ownership_contested_total") == 0
    stage.foreign_marker("journal")
    stage.run(lambda: len(worker.opened) == 2 and worker.running and worker.tenure.marker_seen)
    assert (first.phase, first.reason) == (Phase.STOPPED, "contested")
    assert worker.tenure.epoch == 3


def test_a_null_record_of_another_type_is_no_marker(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.append(Outgoing("answers", 0, None, None, [(CE_TYPE, b"tombstone")]))
    stage.append(Outgoing("answers", 0, None, b"value", [(CE_TYPE, OWNER_TYPE.encode())]))
    stage.request("x")
    stage.run(lambda: stage.replies() == [b"x by a"])
    assert worker.metric("ownership_contested_total") == 0


# -- rules 7, 9, 10, 16 -----------------------------------------------------------------------------------------------


def test_rule_07_all_fields_of_a_commit_are_of_one_moment(stage: Stage) -> None:
    """Every commit on its way: an input that it does not call finished has its answer at or above T."""
    worker = stage.worker("a", commit_every=0.01).start()
    worker.effector.on_work = worker.effector.gated
    names = [f"r{number}" for number in range(20)]
    for name in names:
        stage.request(name)
    stage.settle()
    order = [*names[::-3], *names[::2], *names]
    for name in order:
        if name not in worker.effector.gates:
            continue
        held = stage.wire.hold("ack", "replies")
        worker.effector.open(name)
        stage.advance(0.02)  # commits while the answer is on the own log and its input is not finished
        commit = stage.committed()
        assert commit is not None
        for record in stage.broker.records("answers"):
            _, _, source = (record.header(CE_SOURCE) or b"").rpartition(b"/")
            if source.isdigit() and int(source) >= commit.base and int(source) not in commit.completed:
                assert record.offset >= commit.own
        assert commit.epoch == worker.tenure.epoch
        held.release()
    stage.advance(1)
    assert stage.committed() == Commit(base=20, epoch=0, own=21)


def test_rule_07_the_journal_position_is_computed_against_the_same_set(stage: Stage) -> None:
    worker = stage.worker("a", journal=True, open_tenure=Plain).start()
    tenure = plain(worker)
    stage.run(lambda: tenure.marker_seen)
    for name in "xyz":
        stage.request(name)
    stage.run(lambda: len(tenure.taken) == 3)
    tenure.complete(1)
    tenure.floor = 40
    snapshot = tenure.snapshot()
    assert snapshot == Commit(base=0, epoch=0, own=0, journal=40, completed=(1,))
    assert tenure.floors[-1] == (1,)


def test_rule_09_what_a_restore_read_is_kept_until_its_input_is_finished(stage: Stage) -> None:
    """The answer of an input that is not offered yet must not fall out of what the next owner reads."""
    for name in ("x", "y"):
        stage.request(name)
    stage.own_record("y", 1, b"theirs")
    worker = stage.worker("a")
    worker.effector.on_work = worker.effector.gated
    flow = stage.wire.hold("fetch", "tasks")
    worker.start()
    snapshot = worker.tenure.snapshot()
    assert snapshot is not None
    assert (snapshot.base, snapshot.own) == (0, 0)
    flow.release()
    stage.run(lambda: stage.replies() == [b"theirs"])
    worker.effector.open("x")
    stage.settle()
    snapshot = worker.tenure.snapshot()
    assert snapshot is not None
    assert (snapshot.base, snapshot.own) == (2, worker.tenure.own.known)


def test_rule_10_no_commit_before_the_own_log_was_read_up_to_the_marker(stage: Stage) -> None:
    stage.commit(Commit(base=0, epoch=0, own=0))
    stage.own_record("x", 0, b"theirs")
    worker = stage.worker("a", commit_every=0.01)
    acks = stage.wire.hold("ack", "answers")
    join(stage, worker)
    stage.advance(5)
    assert worker.tenure.snapshot() is None
    assert stage.commits() == []
    acks.release()
    stage.run(lambda: bool(stage.commits()))
    assert worker.running


def test_rule_10_no_commit_before_the_journal_was_read_up_to_the_marker(stage: Stage) -> None:
    worker = stage.worker("a", journal=True, open_tenure=Plain, commit_every=0.01)
    reading = stage.wire.hold("fetch", "journal")
    worker.start()
    stage.advance(5)
    assert stage.commits() == []
    assert worker.processor.revoked(0) is None
    reading.drop()


def test_rule_16_the_marker_is_seen_when_the_journal_was_read_up_to_it(stage: Stage) -> None:
    for _ in range(3):
        stage.append(Outgoing("journal", 0, None, b"record", []))
    worker = stage.worker("a", journal=True, open_tenure=Plain)
    stage.wire.batch = 1
    reading = stage.wire.hold("fetch", "journal")
    worker.start()
    tenure = plain(worker)
    assert not tenure.marker_seen
    reading.release()
    stage.run(lambda: tenure.marker_seen)
    assert tenure.journal_read == [0, 1, 2]
    stage.run(lambda: stage.committed() is not None)


def test_the_first_commit_does_not_wait_for_the_commit_interval(stage: Stage) -> None:
    """It proves the membership, and says which epoch reads the log now."""
    worker = stage.worker("a", commit_every=1_000).start()
    stage.run(lambda: stage.committed() is not None, within=1)
    assert stage.committed() == Commit(base=0, epoch=worker.tenure.epoch, own=1)


# -- admission and flow -----------------------------------------------------------------------------------------------


def test_inputs_that_were_finished_before_are_skipped(stage: Stage) -> None:
    for number in range(5):
        stage.request(f"r{number}")
    stage.commit(Commit(base=1, epoch=0, own=0, completed=(2, 3)))
    worker = stage.worker("a", open_tenure=Plain).start()
    stage.run(lambda: len(plain(worker).taken) == 2)
    assert plain(worker).taken == [1, 4]
    assert not worker.tenure.idle()
    for offset in (1, 4):
        worker.tenure.complete(offset)
    assert worker.tenure.idle()
    assert worker.tenure.offsets.base == 5


def test_a_full_inbox_holds_the_flow_and_lets_go_when_a_quarter_is_left(stage: Stage) -> None:
    stage.wire.batch = 1
    worker = stage.worker("a", inbox_limit=8, limit=1).start()
    worker.effector.on_work = worker.effector.gated
    turns: list[bool] = []
    steer = worker.member.flow

    def flow(topic: str, partition: int, *, on: bool) -> None:
        turns.append(on)
        steer(topic, partition, on=on)

    worker.member.flow = flow  # type: ignore[method-assign]
    names = [f"r{number}" for number in range(30)]
    for name in names:
        stage.request(name)
    stage.settle()
    waiting = worker.tenure._inbox
    assert len(waiting) <= 9
    assert turns == [False]
    for name in names[:6]:
        worker.effector.open(name)
        stage.settle()
    assert turns == [False], "the flow does not flutter around the limit"
    for name in names[6:]:
        stage.run(lambda name=name: name in worker.effector.gates)  # type: ignore[misc]
        assert len(waiting) <= 9
        worker.effector.open(name)
    stage.run(lambda: len(stage.replies()) == 30)
    assert worker.calls == names


def test_a_full_inbox_waits_for_the_restore(stage: Stage) -> None:
    stage.wire.batch = 1
    for number in range(12):
        stage.request(f"r{number}")
    worker = stage.worker("a", inbox_limit=4)
    acks = stage.wire.hold("ack", "answers")
    join(stage, worker)
    stage.settle()
    assert len(worker.tenure._inbox) <= 5
    acks.release()
    stage.run(lambda: len(stage.replies()) == 12)


def test_a_stopped_tenure_takes_and_completes_nothing(stage: Stage) -> None:
    worker = stage.worker("a", open_tenure=Plain).start()
    stage.request("x")
    stage.run(lambda: plain(worker).taken == [0])
    tenure = plain(worker)
    tenure.stop()
    tenure.stop("a second time")
    tenure.complete(0)
    tenure.take(stage.broker.records("tasks")[0])
    tenure.pump()
    assert (tenure.reason, tenure.offsets.base, tenure.taken) == ("revoked", 0, [0])


# -- a named stop -----------------------------------------------------------------------------------------------------


def test_rule_11_an_own_log_that_lost_what_lies_between_stops_the_partition_by_name(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.own_record("y", 5, b"theirs")
    acks = stage.wire.hold("ack", "answers")
    stage.request("x")
    stage.settle()
    stage.broker.truncate("answers", 0, 2)
    acks.release()
    stage.settle()
    assert worker.tenure.phase is Phase.STOPPED
    assert worker.tenure.reason.startswith("DataLost: answers[0] starts at offset 2")
    flow = worker.member._holds[0].flows["tasks"]
    assert not flow.on
    assert stage.replies() == []


def test_rule_11_a_restore_over_deleted_records_stops_the_partition_by_name(stage: Stage) -> None:
    for name in "xyz":
        stage.own_record(name, 5, b"theirs")
    worker = stage.worker("a")

    async def bounds(topic: str, partition: int) -> Bounds:
        stage.broker.truncate("answers", 0, 2)  # between the answer and the reading
        return Bounds(0, 3)

    worker.log.bounds = bounds  # type: ignore[method-assign]
    join(stage, worker)
    stage.run(stopped(worker.tenure))
    assert worker.tenure.reason.startswith("DataLost: answers[0]")


def test_an_error_that_stays_stops_the_partition_by_name(stage: Stage) -> None:
    worker = stage.worker("a", open_tenure=Plain).start()

    async def reach() -> None:
        raise DataLost("answers", 0, 3, 7)

    worker.tenure.admit = lambda record: reach()  # type: ignore[method-assign]
    stage.request("x")
    stage.run(stopped(worker.tenure))
    assert worker.tenure.reason.startswith("DataLost: answers[0]")


# -- appending and waiting --------------------------------------------------------------------------------------------


def test_appended_gives_the_acknowledgement_or_raises_it(stage: Stage) -> None:
    worker = stage.worker("a")
    record = Outgoing("replies", 0, None, b"v", [])
    assert stage.finish(appended(worker.log, record)).offset == 0
    stage.limit_bytes("replies", 10)
    with pytest.raises(RecordTooLarge):
        stage.finish(appended(worker.log, record))
    with pytest.raises(AppendFailed):
        stage.finish(appended(worker.log, record._replace(topic="nowhere")))


def test_all_appended_waits_for_each_and_raises_what_failed(stage: Stage) -> None:
    worker = stage.worker("a")
    records = [Outgoing("replies", 0, None, value, []) for value in (b"1", b"2", b"3")]
    stage.finish(all_appended(worker.log, []))
    acks = stage.wire.hold("ack", "replies")
    lost = records[0]._replace(topic="nowhere")
    waiting = [stage.loop.create_task(all_appended(worker.log, some)) for some in (records, [lost, *records])]
    stage.settle()
    assert [task.done() for task in waiting] == [False, False]
    acks.release()
    stage.settle()
    waiting[0].result()
    with pytest.raises(AppendFailed):
        waiting[1].result()
    assert len(stage.broker.records("replies")) == 6  # those behind one that failed are not lost


def test_an_acknowledgement_for_somebody_who_left_is_ignored(stage: Stage) -> None:
    worker = stage.worker("a")
    acks = stage.wire.hold("ack", "replies")
    waiting = stage.loop.create_task(appended(worker.log, Outgoing("replies", 0, None, b"v", [])))
    stage.settle()
    waiting.cancel()
    acks.release()
    stage.settle()
    assert waiting.cancelled()
