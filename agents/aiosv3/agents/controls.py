"""What operators say to a task: retry, fail, migrate. Messages with reserved names, so every owner repeats them.

``fail`` ends the task. ``migrate`` declares the answers that the journal holds from an offset on void: what waits for
one of them, and whatever is asked after that, is asked anew, under step ids with the number of the migration behind
them (``3@1``), so that no late answer to an old request fits (docs/adr/0019). ``retry`` only has the task built again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from aiosv3.agents.facts import DEADLINE_STEP, GRACE_STEP, JournalEntry
from aiosv3.agents.mailbox import message_record
from aiosv3.schemas.records import JournalKind, JournalRecord, StepFailure

if TYPE_CHECKING:
    from aiosv3.agents.pending import Pending

RESERVED: Final = "aiosv3."
RETRY: Final = "aiosv3.retry"
FAIL: Final = "aiosv3.fail"
MIGRATE: Final = "aiosv3.migrate"
GENERATION: Final = "@"
"""Stands between a step's id and the number of the migration after which it was asked."""
_ANSWERS: Final = frozenset({JournalKind.ANSWER, JournalKind.VALUE, JournalKind.TIMER})


def retry_record(task_id: str, message_id: str) -> JournalRecord:
    """Builds the task again where it is owned: for what was wrong outside its code and is right now."""
    return message_record(task_id, RETRY, "null", message_id)


def fail_record(task_id: str, reason: str, message_id: str) -> JournalRecord:
    """Ends the task with a failed result."""
    return message_record(task_id, FAIL, json.dumps({"reason": reason}, ensure_ascii=False), message_id)


def migrate_record(task_id: str, offset: int, message_id: str) -> JournalRecord:
    """Voids the answers from ``offset`` of the journal on, up to this record."""
    return message_record(task_id, MIGRATE, json.dumps({"from": offset}), message_id)


def control_of(record: JournalRecord) -> str | None:
    """RETRY, FAIL, MIGRATE, or another reserved name of a newer version, which is then ignored; None for the rest."""
    name = record.message or ""
    return name if record.kind is JournalKind.SIGNAL and name.startswith(RESERVED) else None


def rebuilds(entry: JournalEntry) -> bool:
    """True for a record after which the task is built again from its whole journal."""
    return control_of(entry.record) in {RETRY, MIGRATE}


def failure_of(record: JournalRecord) -> StepFailure:
    """The failure that FAIL asks for."""
    reason = _content(record).get("reason")
    return StepFailure("FailedByOperator", str(reason or "an operator ended it"), retryable=False)


def _content(record: JournalRecord) -> dict[str, object]:
    try:
        found = json.loads(record.content) if isinstance(record.content, str) else None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


class Migrations:
    """What the migrations of one task void, known before it is started; and how its steps are called after them."""

    __slots__ = ("_ranges", "generation")

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self.generation = 0

    def recall(self, entries: Iterable[JournalEntry]) -> None:
        """The journal that the task will be fed."""
        for entry in entries:
            if control_of(entry.record) != MIGRATE:
                continue
            start = _content(entry.record).get("from")
            if isinstance(start, int):
                self._ranges.append((start, entry.offset))

    def void(self, entry: JournalEntry) -> bool:
        """True for an answer that does not count any more. Messages, cancels and deadlines do."""
        record = entry.record
        if not self._ranges or record.kind not in _ANSWERS or record.step_id in {DEADLINE_STEP, GRACE_STEP}:
            return False
        return any(start <= entry.offset < end for start, end in self._ranges)

    def reached(self, entry: JournalEntry) -> bool:
        """Counts the migration of this record, if it is one that was recalled."""
        known = any(end == entry.offset for _, end in self._ranges)
        self.generation += known
        return known

    def named(self, step_id: str) -> str:
        """The id that a step has from here on."""
        plain = step_id.partition(GENERATION)[0]
        return f"{plain}{GENERATION}{self.generation}" if self.generation else plain

    def stale(self, step_id: str) -> bool:
        """True for an id of before the last migration: a late answer to it is nobody's."""
        return bool(self.generation) and not step_id.endswith(f"{GENERATION}{self.generation}")

    def renew(self, pending: dict[str, Pending], now: int) -> dict[str, Pending]:
        """The steps without an answer, to be asked anew."""
        for one in pending.values():
            if one.step.id not in {DEADLINE_STEP, GRACE_STEP}:
                one.step.id = self.named(one.step.id)
                one.step.first_sent = now
        return {one.step.id: one for one in pending.values()}
