"""Messages to a task that it has not asked for yet: by name, in journal order, each id once."""

from __future__ import annotations

from collections import deque

from aiosv3.agents.facts import JournalEntry
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome


class Mailbox:
    """What it holds is a function of the journal, as everything about a task is."""

    __slots__ = ("_seen", "_unread")

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._unread: dict[str, deque[JournalEntry]] = {}

    def fresh(self, record: JournalRecord) -> bool:
        """False for a message that came before: one whose id is known. Without an id each one counts."""
        if record.message_id is None:
            return True
        if record.message_id in self._seen:
            return False
        self._seen.add(record.message_id)
        return True

    def keep(self, entry: JournalEntry) -> None:
        """Nobody waits for it yet."""
        self._unread.setdefault(entry.record.message or "", deque()).append(entry)

    def take(self, name: str) -> JournalEntry | None:
        """The oldest unread message of this name; it counts as read."""
        unread = self._unread.get(name)
        if not unread:
            return None
        entry = unread.popleft()
        if not unread:
            del self._unread[name]
        return entry


def message_record(task_id: str, name: str, content: str, message_id: str | None) -> JournalRecord:
    """A message to a task, for its journal partition. ``content`` is JSON text.

    Whoever sends it need not know the task's offset: it may come before the task does.
    """
    return JournalRecord(
        task_id=task_id,
        task_offset=-1,
        step_id=None,
        request_hash=None,
        kind=JournalKind.SIGNAL,
        outcome=Outcome.OK,
        content=content,
        message=name,
        message_id=message_id,
    )
