"""Which code owned a journal partition when a record landed: what ``ctx.patched`` goes by (docs/adr/0015)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

from aiosv3.streams.log import Headers, Record

if TYPE_CHECKING:
    from aiosv3.agents.worker.journal import JournalFeed
    from aiosv3.streams.tenure import Tenure

PATCHES: Final = "aios-patches"
"""Header of an ownership marker: the patches that its owner's code knows, with commas between."""


MARK_EVERY: Final = 1024 * 1024
"""Bytes of journal after which an owner marks again: how much more than without patches a restore has to read."""


class Ownership:
    """The markers of one journal partition, in offset order. What lies below the first one known is nobody's."""

    def __init__(self) -> None:
        self._offsets: list[int] = []
        self._patches: list[frozenset[str]] = []

    def owned(self, offset: int, patches: frozenset[str]) -> None:
        """A marker."""
        self._offsets.append(offset)
        self._patches.append(patches)

    def floor(self, offset: int) -> int:
        """Where the journal must be read from to know all that :meth:`at` says from ``offset`` on; drops the rest."""
        index = bisect_right(self._offsets, offset) - 1
        if index < 0:
            return offset
        del self._offsets[:index], self._patches[:index]
        return self._offsets[0]

    def at(self, offset: int) -> frozenset[str]:
        """The patches that the code knew to which the record at ``offset`` came first."""
        index = bisect_left(self._offsets, offset) - 1
        return self._patches[index] if index >= 0 else frozenset()


def patches_header(patches: frozenset[str]) -> Headers:
    """What a marker says of its owner's code; nothing where there is nothing to say."""
    return [(PATCHES, ",".join(sorted(patches)).encode())] if patches else []


def patches_in(marker: Record) -> frozenset[str]:
    """What a marker says."""
    text = (marker.header(PATCHES) or b"").decode("utf-8", "replace")
    return frozenset(text.split(",")) if text else frozenset()


class Remarking:
    """Marks again from time to time, so that the journal base can follow (:meth:`Ownership.floor`)."""

    def __init__(self, tenure: Tenure, feed: JournalFeed, *, needed: bool) -> None:
        self._tenure = tenure
        self._feed = feed
        self._needed = needed
        self._marked = 0

    def check(self) -> None:
        """Called after each journal record."""
        if self._needed and self._tenure.marker_seen and self._feed.bytes - self._marked > MARK_EVERY:
            self._marked = self._feed.bytes
            self._tenure.mark_again()
