"""Journals have no time retention: their owner deletes what no restore will read again (protocol rule 11)."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.log import Log

KEPT_S: Final = 3_600.0
"""Only below the base of a commit this old: an older commit may still land over a newer one (rule 7)."""
_LOG: Final = logging.getLogger(__name__)


class JournalTruncation:
    """Remembers when which journal base was committed, for one partition. Times are monotonic seconds."""

    def __init__(self, log: Log, topic: str, partition: int, kept: float = KEPT_S) -> None:
        self._log = log
        self._topic = topic
        self._partition = partition
        self._kept = kept
        self._bases: deque[tuple[float, int]] = deque()
        self._deleted = 0

    def committed(self, now: float, base: int) -> None:
        """A commit with this journal base was accepted at ``now``."""
        if base >= 0 and (not self._bases or base > self._bases[-1][1]):
            self._bases.append((now, base))

    def due(self, now: float) -> int | None:
        """Below which offset may be deleted now; None if nothing new."""
        due = None
        while self._bases and now - self._bases[0][0] >= self._kept:
            due = self._bases.popleft()[1]
        return due if due is not None and due > self._deleted else None

    async def run(self, now: float) -> None:
        """Deletes what is due. A failure is logged: the next commit's base covers it."""
        below = self.due(now)
        if below is None:
            return
        try:
            await self._log.truncate(self._topic, self._partition, below)
            self._deleted = below
        except AiosError as error:
            _LOG.warning("%s[%s] is not truncated below %s: %s", self._topic, self._partition, below, error)
