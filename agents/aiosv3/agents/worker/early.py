"""Journal records of tasks that are not open here yet: at a restore it comes first, and a cancel may come early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiosv3.agents.facts import JournalEntry
from aiosv3.schemas.records import JournalRecord

CANCEL_KEPT_MS: Final = 24 * 3600 * 1000
"""How long a record waits that names a task which was never seen (protocol rule 25)."""


class Early:
    """Records by task id, in offset order. They hold the journal base back until they are claimed or forgotten."""

    def __init__(self) -> None:
        self._entries: dict[str, list[JournalEntry]] = {}

    def ids(self) -> list[str]:
        """The tasks that something is kept for."""
        return list(self._entries)

    def keep(self, entry: JournalEntry) -> None:
        """For a task that is not open yet."""
        self._entries.setdefault(entry.record.task_id, []).append(entry)

    def claim(self, task_id: str) -> list[JournalEntry]:
        """What came for the task, which is open from now on, or closed."""
        return self._entries.pop(task_id, [])

    def drop(self, closed: Callable[[JournalRecord], bool]) -> None:
        """Forgets the records of tasks that turn out to be closed: one record that says so is enough."""
        found = [name for name, entries in self._entries.items() if any(closed(entry.record) for entry in entries)]
        for task_id in found:
            del self._entries[task_id]

    def expire(self, now: int) -> None:
        """Forgets those which name a task that was not seen for 24 hours. ``now`` in ms."""
        oldest = now - CANCEL_KEPT_MS
        for name, entries in list(self._entries.items()):
            if entries[-1].timestamp < oldest and all(entry.record.task_offset < 0 for entry in entries):
                del self._entries[name]

    def floor(self, top: int) -> int:
        """The lowest offset kept, at most ``top`` (protocol rule 10)."""
        return min(top, min((entries[0].offset for entries in self._entries.values()), default=top))

    def clear(self) -> None:
        """The ownership ends."""
        self._entries.clear()
