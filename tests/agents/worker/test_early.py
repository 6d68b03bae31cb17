"""Journal records that come before their task (protocol rules 10 and 25)."""

from __future__ import annotations

from aiosv3.agents.facts import JournalEntry
from aiosv3.agents.worker.early import CANCEL_KEPT_MS, Early
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome


def entry(task_id: str, offset: int, *, task_offset: int = -1, timestamp: int = 0) -> JournalEntry:
    kind = JournalKind.CANCEL if task_offset < 0 else JournalKind.VALUE
    return JournalEntry(offset, timestamp, JournalRecord(task_id, task_offset, None, None, kind, Outcome.OK))


def test_records_are_claimed_once_and_in_order() -> None:
    early = Early()
    for offset in (3, 5, 8):
        early.keep(entry("a" if offset != 5 else "b", offset))
    assert [kept.offset for kept in early.claim("a")] == [3, 8]
    assert early.claim("a") == []
    assert early.ids() == ["b"]


def test_rule_10_the_first_record_kept_holds_the_journal_back() -> None:
    early = Early()
    assert early.floor(12) == 12
    early.keep(entry("a", 7))
    early.keep(entry("a", 9))
    assert (early.floor(12), early.floor(5)) == (7, 5)
    early.claim("a")
    assert early.floor(12) == 12


def test_rule_25_a_record_for_a_task_that_was_never_seen_waits_for_a_day() -> None:
    early = Early()
    early.keep(entry("cancelled", 1, timestamp=1_000))
    early.keep(entry("waits", 2, task_offset=4, timestamp=1_000))
    early.expire(1_000 + CANCEL_KEPT_MS)
    assert early.ids() == ["cancelled", "waits"]
    early.expire(1_001 + CANCEL_KEPT_MS)
    assert early.ids() == ["waits"], "a task that is on its topic is admitted one day"


def test_what_turns_out_to_be_closed_is_dropped_with_all_its_records() -> None:
    early = Early()
    early.keep(entry("closed", 1, task_offset=0))
    early.keep(entry("closed", 2))
    early.keep(entry("open", 3, task_offset=5))
    early.drop(lambda record: 0 <= record.task_offset < 5)
    assert early.ids() == ["open"]
    early.clear()
    assert early.ids() == []
