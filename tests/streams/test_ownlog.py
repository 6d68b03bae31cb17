"""The own log's tail as memory: the first record of an id counts, whoever wrote it and however late I hear of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import CE_ID, CE_SOURCE
from aiosv3.streams import ownlog as module
from aiosv3.streams.errors import AppendFailed, AppendUnknown, DataLost, RecordTooLarge
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.ownlog import GRACE_MS, Entry, Learned, OwnLog, learn_from_headers, provenance
from aiosv3.streams.testing import MemoryLog, TopicSettings

if TYPE_CHECKING:
    from tests.streams.conftest import Stage

TOPIC = "answers"
NewStage: TypeAlias = "Callable[[], Stage]"


class Desk:
    """An own log, and what it told: pins, what it settled, how it broke."""

    def __init__(self, stage: Stage, name: str = "me", kept_since: Callable[[], float] = lambda: float("inf")) -> None:
        self.stage = stage
        self.log = MemoryLog(stage.broker, name)
        self.log.host._loop = stage.loop
        self.pins: list[tuple[int, int]] = []
        self.settled: list[tuple[str, int | type[AppendFailed], bool]] = []
        self.broken: list[AiosError] = []
        self.contests: list[str] = []
        contest = partial(self.contests.append, name)
        self.own = OwnLog(self.log, TOPIC, 0, learn_from_headers, self._pin, self.broken.append, contest, kept_since)

    def _pin(self, input_offset: int, own_offset: int) -> None:
        self.pins.append((input_offset, own_offset))

    def restore(self, start: int, end: int) -> Desk:
        self.stage.finish(self.own.restore(start, end))
        return self

    def append(self, name: str, input_offset: int, value: bytes = b"mine") -> None:
        def told(entry: Entry | AppendFailed, mine: bool) -> None:
            self.settled.append((name, entry.offset if isinstance(entry, Entry) else type(entry), mine))

        headers = [(CE_ID, name.encode()), (CE_SOURCE, f"tasks/0/{input_offset}".encode())]
        self.own.append(name, Outgoing(TOPIC, 0, None, value, headers), input_offset, told)

    def values(self) -> list[bytes | None]:
        return self.stage.values(TOPIC)


@pytest.fixture
def desk(stage: Stage) -> Desk:
    return Desk(stage)


# -- reading ----------------------------------------------------------------------------------------------------------


def test_an_answer_names_its_request_and_its_input() -> None:
    record = Record("tasks", 3, 77, 0, None, b"", [])
    assert provenance(record) == b"tasks/3/77"
    headers = [(CE_ID, b"R~2"), (CE_SOURCE, provenance(record))]
    assert learn_from_headers(record._replace(headers=headers)) == Learned("R~2", 77)


@pytest.mark.parametrize("headers", [[], [(CE_ID, b"R")], [(CE_SOURCE, b"tasks/0/1")]])
def test_a_record_without_id_or_source_answers_nothing(headers: list[tuple[str, bytes]]) -> None:
    assert learn_from_headers(Record(TOPIC, 0, 0, 0, None, b"", headers)) == Learned(None, -1)


def test_a_source_of_somebody_else_names_no_input() -> None:
    record = Record(TOPIC, 0, 0, 0, None, b"", [(CE_ID, b"R"), (CE_SOURCE, b"https://example.com/orders")])
    assert learn_from_headers(record) == Learned("R", -1)


def test_rule_09_each_record_read_at_restore_is_pinned(stage: Stage, desk: Desk) -> None:
    for name, offset in (("a", 4), ("b", 2), ("a", 4)):
        stage.own_record(name, offset, b"")
    stage.foreign_marker()
    desk.restore(1, 4)
    assert desk.pins == [(2, 1), (4, 2)]
    assert (desk.own.floor, desk.own.known) == (1, 4)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(ids=st.lists(st.sampled_from("abcde"), max_size=25), cuts=st.lists(st.integers(0, 25), max_size=5))
def test_memory_is_the_first_record_of_each_id_above_the_floor(
    new_stage: NewStage, ids: list[str], cuts: list[int]
) -> None:
    stage = new_stage()
    desk = Desk(stage)
    for number, name in enumerate(ids):
        stage.own_record(name, number, b"")
    start = min([*cuts[:1], len(ids)])
    desk.restore(start, len(ids))
    for cut in (start, *cuts):
        stage.finish(desk.own.lower(cut))
        floor = desk.own.floor
        expected = {name: ids.index(name, floor) for name in ids[floor:]}
        assert {name: entry.offset for name, entry in desk.own.memory.items()} == expected
        assert {name: entry.input_offset for name, entry in desk.own.memory.items()} == expected
        assert floor <= cut
    stage.loop.close()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(
    actions=st.lists(
        st.tuples(st.sampled_from(["mine", "theirs", "lose", "hear"]), st.sampled_from("abcd")), max_size=20
    )
)
def test_rule_04_everybody_acts_on_the_first_record_of_an_id(
    new_stage: NewStage, actions: list[tuple[str, str]]
) -> None:
    """Mine and theirs in any order, acknowledgements lost: what is settled is the first on the log, each once."""
    stage = new_stage()
    desk = Desk(stage).restore(0, 0)
    asked = 0
    for what, name in actions:
        if what == "theirs":
            stage.own_record(name, 1, b"theirs")
        elif what == "hear":
            stage.settle()
        else:
            lost = stage.wire.hold("ack") if what == "lose" else None
            desk.append(name, 2)
            asked += 1
            if lost is not None:
                stage.settle()
                lost.drop()
    stage.run(lambda: len(desk.settled) == asked, within=1_000)
    stage.advance(60)
    assert len(desk.settled) == asked
    ids = [record.header(CE_ID) for record in stage.broker.records(TOPIC)]
    for name, offset, _mine in desk.settled:
        assert offset == ids.index(name.encode())
    stage.loop.close()


# -- appending --------------------------------------------------------------------------------------------------------


def test_an_ordinary_append_reads_nothing(stage: Stage, desk: Desk) -> None:
    desk.restore(0, 0)
    questions = stage.wire.hold("question")
    for name in "abc":
        desk.append(name, 1)
    stage.settle()
    assert desk.settled == [("a", 0, True), ("b", 1, True), ("c", 2, True)]
    assert questions.messages == []
    assert desk.own.known == 3


def test_rule_03_what_lies_between_is_read_before_acting(stage: Stage, desk: Desk) -> None:
    desk.restore(0, 0)
    stage.own_record("x", 5, b"theirs")
    reading = stage.wire.hold("question")
    desk.append("x", 5)
    desk.append("y", 6)
    stage.settle()
    assert desk.settled == [], "what lies between is not read yet"
    reading.release()
    stage.settle()
    assert desk.settled == [("x", 0, False), ("y", 2, True)]
    assert desk.own.known == 3
    assert desk.pins == [(5, 0)]


def test_rule_03_acknowledgements_behind_a_gap_wait_their_turn(stage: Stage, desk: Desk) -> None:
    """An acknowledgement that fits while the gap is still being read must not overtake."""
    desk.restore(0, 0)
    stage.own_record("z", 5, b"theirs")
    reading = stage.wire.hold("question")
    desk.append("a", 1)
    stage.settle()
    desk.append("z", 5)
    stage.settle()
    assert desk.settled == []
    reading.release()
    stage.settle()
    assert desk.settled == [("a", 1, True), ("z", 0, False)]


def test_rule_05_a_record_that_landed_unheard_is_not_written_again(stage: Stage, desk: Desk) -> None:
    desk.restore(0, 0)
    acks = stage.wire.hold("ack", TOPIC)
    desk.append("x", 1)
    stage.settle()
    acks.drop()
    stage.run(lambda: bool(desk.settled))
    assert desk.settled == [("x", 0, False)]
    assert desk.values() == [b"mine"]
    assert desk.own.known == 1


def test_rule_05_a_record_that_did_not_land_is_written_again(stage: Stage, desk: Desk) -> None:
    desk.restore(0, 0)
    appends = stage.wire.hold("append", TOPIC)
    desk.append("x", 1)
    stage.settle()
    appends.drop()
    stage.run(lambda: bool(desk.settled))
    assert desk.settled == [("x", 0, True)]
    assert desk.values() == [b"mine"]


def test_rule_05_a_record_that_lands_late_is_found_by_the_gap(stage: Stage, desk: Desk) -> None:
    """Its repetition comes second then, and the first counts."""
    desk.restore(0, 0)
    late = stage.wire.hold("append", TOPIC)
    desk.append("x", 1)
    stage.settle()
    stage.run(lambda: len(stage.wire.holding) == 1 and stage.now > 29, within=31)
    again = stage.wire.hold("question")
    stage.run(lambda: bool(again.messages))
    assert desk.settled == [], "nothing is decided before the log was read to its end"
    again.release()
    stage.run(lambda: len(late.messages) == 2)
    late.release()
    stage.run(lambda: bool(desk.settled))
    assert desk.settled == [("x", 0, False)]
    assert desk.values() == [b"mine", b"mine"]


def test_rule_05_an_unknown_outcome_is_looked_up_at_the_end_of_the_log(stage: Stage, desk: Desk) -> None:
    """Somebody else's record of the id is as good as mine."""
    desk.restore(0, 0)
    appends = stage.wire.hold("append", TOPIC)
    desk.append("x", 1)
    stage.settle()
    stage.own_record("y", 9, b"theirs")
    stage.own_record("x", 1, b"theirs")
    appends.drop()
    stage.run(lambda: bool(desk.settled))
    assert desk.settled == [("x", 1, False)]
    assert desk.values() == [b"theirs", b"theirs"]


def test_a_refused_append_is_told(stage: Stage, desk: Desk) -> None:
    desk.restore(0, 0)
    stage.limit_bytes(TOPIC, 200)
    desk.append("x", 1, b"v" * 300)
    desk.append("y", 2)
    stage.settle()
    assert desk.settled == [("x", RecordTooLarge, False), ("y", 0, True)]


def test_reading_is_tried_again_when_the_broker_is_away(stage: Stage, desk: Desk) -> None:
    desk.restore(0, 0)
    stage.own_record("x", 5, b"theirs")
    away = stage.wire.hold("question")
    desk.append("x", 5)
    stage.advance(61)
    assert desk.settled == []
    away.drop()
    stage.run(lambda: bool(desk.settled))
    assert desk.settled == [("x", 0, False)]


def test_a_gap_that_is_gone_breaks_the_partition(stage: Stage, desk: Desk) -> None:
    desk.restore(0, 0)
    stage.own_record("x", 5, b"theirs")
    acks = stage.wire.hold("ack", TOPIC)
    desk.append("x", 5)
    stage.settle()
    stage.broker.truncate(TOPIC, 0, 1)
    acks.release()
    stage.settle()
    assert desk.settled == []
    assert [type(error) for error in desk.broken] == [DataLost]


@pytest.mark.parametrize("when", ["before", "before, with a gap", "while the gap is read"])
def test_rule_06_nothing_is_settled_after_close(stage: Stage, desk: Desk, when: str) -> None:
    desk.restore(0, 0)
    if "gap" in when:
        stage.own_record("y", 5, b"theirs")
    held = stage.wire.hold("ack" if when.startswith("before") else "question")
    desk.append("x", 1)
    stage.settle()
    assert held.messages
    desk.own.close()
    held.release()
    stage.advance(60)
    assert desk.settled == []


def test_closing_ends_a_restore_and_a_lowering(stage: Stage, desk: Desk) -> None:
    for number in range(3):
        stage.own_record(f"r{number}", number, b"")
    reading = stage.wire.hold("question")
    task = stage.loop.create_task(desk.own.restore(1, 3))
    stage.settle()
    desk.own.close()
    reading.release()
    stage.run(task.done)
    assert desk.own.memory == {}
    stage.finish(desk.own.lower(0))
    assert desk.own.memory == {}


# -- transactions -----------------------------------------------------------------------------------------------------


def taken(stage: Stage, desk: Desk) -> Desk:
    """As an owner takes the partition: fence, then read what is there."""
    stage.finish(desk.own.fence())
    return desk.restore(0, stage.finish(desk.log.bounds(TOPIC, 0)).end)


def test_the_next_owner_finds_all_that_the_last_one_can_ever_write(stage: Stage) -> None:
    """What the last one has on its way when it is fenced never gets there: the result is written once."""
    old, new = taken(stage, Desk(stage)), Desk(stage, "other")
    late = stage.wire.hold("append", TOPIC, host="me")
    old.append("x", 1)
    stage.settle()
    taken(stage, new).append("x", 1)
    late.release()
    stage.run(lambda: bool(new.settled) and bool(old.contests))
    assert old.values() == [b"mine"]
    assert new.settled == [("x", 0, True)]
    assert old.settled == [], "whoever is fenced acts on nothing more"


def test_without_transactions_a_copy_of_the_last_owner_lands_late(stage: Stage, desk: Desk) -> None:
    old, new = desk.restore(0, 0), Desk(stage, "other").restore(0, 0)
    late = stage.wire.hold("append", TOPIC, host="me")
    old.append("x", 1)
    new.append("x", 1)
    stage.settle()
    late.release()
    stage.run(lambda: bool(old.settled))
    assert old.values() == [b"mine", b"mine"]


def test_the_end_of_a_transaction_is_no_gap(stage: Stage, desk: Desk) -> None:
    taken(stage, desk)
    questions = stage.wire.hold("question")
    for name in "abc":
        desk.append(name, 1)
        stage.settle()
    assert [(name, mine) for name, _, mine in desk.settled] == [("a", True), ("b", True), ("c", True)]
    assert questions.messages == []


def test_rule_03_somebody_elses_record_between_two_transactions_is_read(stage: Stage, desk: Desk) -> None:
    taken(stage, desk)
    desk.append("a", 1)
    stage.settle()
    stage.own_record("b", 2, b"theirs")
    desk.append("b", 2)
    stage.settle()
    assert desk.settled == [("a", 0, True), ("b", 2, False)]


def test_a_transaction_that_takes_too_long_ends_its_writer(stage: Stage, desk: Desk) -> None:
    """It is over at the broker: whoever still owns the partition takes it again."""
    taken(stage, desk)
    acks = stage.wire.hold("ack", TOPIC)
    desk.append("x", 1)
    stage.run(lambda: bool(desk.contests))
    acks.drop()
    taken(stage, desk)
    assert desk.own.memory["x"].offset == 0, "it had landed"
    desk.append("y", 2)
    stage.settle()
    assert [name for name, _, _ in desk.settled] == ["y"]


def test_a_closed_log_writes_no_more(stage: Stage, desk: Desk) -> None:
    taken(stage, desk)
    desk.own.close()
    desk.append("x", 1)
    stage.settle()
    assert desk.values() == []


# -- memory and its floor ---------------------------------------------------------------------------------------------


def aged(stage: Stage, count: int = 10, apart: float = 60.0) -> list[int]:
    """Records ``r0`` to ``r9``, a minute apart; returns their broker times."""
    times = []
    for number in range(count):
        times.append(stage.own_record(f"r{number}", number, b"").timestamp)
        stage.advance(apart)
    return times


def test_rule_13_the_floor_goes_down_to_first_sent_and_a_minute(stage: Stage, desk: Desk) -> None:
    times = aged(stage)
    desk.restore(10, 10)
    assert not desk.own.covers(times[6])
    assert stage.finish(desk.own.reach(times[6]))
    assert desk.own.floor == 5
    assert sorted(desk.own.memory) == ["r5", "r6", "r7", "r8", "r9"]
    assert desk.own.covers(times[6])
    assert not desk.own.covers(times[6] - 1)
    assert GRACE_MS == 60_000


def test_rule_13_lowering_finds_an_earlier_record_of_a_known_id(stage: Stage, desk: Desk) -> None:
    first = stage.own_record("x", 1, b"first")
    stage.advance(600)
    stage.own_record("x", 1, b"second")
    desk.restore(1, 2)
    assert desk.own.memory["x"].offset == 1
    assert stage.finish(desk.own.reach(first.timestamp))
    assert desk.own.memory["x"].offset == 0


def test_rule_13_a_log_that_is_whole_always_reaches_back(stage: Stage, desk: Desk) -> None:
    aged(stage, 3)
    desk.restore(3, 3)
    assert stage.finish(desk.own.reach(0))
    assert desk.own.floor == 0
    assert desk.own.covers(0)


def test_rule_13_a_log_that_was_cut_does_not_reach_back(stage: Stage, desk: Desk) -> None:
    times = aged(stage)
    stage.broker.truncate(TOPIC, 0, 4)
    desk.restore(10, 10)
    assert not stage.finish(desk.own.reach(times[5])), "record 4 is the oldest: one before it may have been deleted"
    assert stage.finish(desk.own.reach(times[6]))
    assert desk.own.floor == 4


def test_rule_13_what_the_log_does_not_reach_is_never_covered(stage: Stage, desk: Desk) -> None:
    times = aged(stage)
    stage.broker.truncate(TOPIC, 0, 4)
    desk.restore(10, 10)
    assert not stage.finish(desk.own.reach(times[3]))
    assert not desk.own.covers(times[4]), "also first sent before the oldest record that is left"


def test_rule_11_what_is_younger_than_logs_are_kept_was_not_deleted(stage: Stage) -> None:
    """An agent that nobody has asked for so long that its whole log is gone is asked again."""
    times = aged(stage)
    stage.broker.truncate(TOPIC, 0, 10)
    desk = Desk(stage, kept_since=lambda: times[8]).restore(10, 10)
    assert not stage.finish(desk.own.reach(times[8])), "a minute before that is not kept"
    assert stage.finish(desk.own.reach(times[9]))
    assert desk.own.covers(times[9])
    desk.append("x", 1)
    stage.settle()
    later = Desk(stage, "later", kept_since=lambda: times[8]).restore(11, 11)
    assert stage.finish(later.own.reach(times[9])), "also where the oldest record that is left is younger"
    assert "x" in later.own.memory


def test_lowering_does_not_pin(stage: Stage, desk: Desk) -> None:
    """Only what a restore reads may be needed by an input that is not admitted yet (rule 9)."""
    aged(stage, 3)
    desk.restore(3, 3)
    stage.finish(desk.own.lower(0))
    assert desk.pins == []


def test_memory_over_its_limit_forgets_the_older_half(
    stage: Stage, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = aged(stage)
    desk.restore(0, 10)
    desk.own.trim()
    assert len(desk.own.memory) == 10
    monkeypatch.setattr(module, "_MEMORY_LIMIT", 9)
    desk.own.trim()
    assert sorted(desk.own.memory) == ["r5", "r6", "r7", "r8", "r9"]
    assert desk.own.floor == 5
    assert not desk.own.covers(times[5] + GRACE_MS), "a record of the same millisecond may be among the forgotten"
    assert desk.own.covers(times[5] + GRACE_MS + 1)
    assert stage.finish(desk.own.reach(times[3]))
    assert "r3" in desk.own.memory


def test_memory_has_no_hole_when_it_is_trimmed_while_the_floor_goes_down(
    stage: Stage, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(stage)
    desk.restore(4, 10)
    monkeypatch.setattr(module, "_MEMORY_LIMIT", 5)
    reading = stage.wire.hold("question")
    lowering = stage.loop.create_task(desk.own.lower(2))
    stage.settle()
    desk.own.trim()
    assert desk.own.floor == 7
    reading.release()
    stage.run(lowering.done)
    assert sorted(desk.own.memory) == [f"r{number}" for number in range(desk.own.floor, 10)]


def test_the_record_of_an_entry_is_read_again(stage: Stage, desk: Desk) -> None:
    aged(stage, 2)
    desk.restore(0, 2)
    assert stage.finish(desk.own.record(desk.own.memory["r1"])).header(CE_ID) == b"r1"


def test_a_record_that_is_not_there_is_an_unknown_append(stage: Stage, desk: Desk) -> None:
    stage.broker._settings[TOPIC] = TopicSettings(cleanup="compact")
    for _ in range(2):
        stage.append(Outgoing(TOPIC, 0, b"key", b"", [(CE_ID, b"x"), (CE_SOURCE, b"tasks/0/0")]))
    desk.restore(0, 2)
    stage.broker.clean()
    with pytest.raises(AppendUnknown, match=r"answers\[0\]@0"):
        stage.finish(desk.own.record(desk.own.memory["x"]))
