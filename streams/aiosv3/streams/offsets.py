"""Which inputs of one partition are finished, and what a commit may therefore say (protocol rules 7 to 10)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiosv3.streams.commit import METADATA_LIMIT, Commit, encode_set, fitting

_HEAD_ROOM: Final = 80
"""Characters kept free for ``version|epoch|T|Bbase|`` (four numbers of up to 19 digits)."""
SET_ROOM: Final = METADATA_LIMIT - _HEAD_ROOM
"""Characters that the completed set may take."""


class Offsets:
    """Finished and open inputs above a base, and the own-log positions that they hold back.

    Every admitted input remembers the own-log position at its admission; those positions never fall as offsets rise,
    so the lowest open input has the lowest of them. Exceptions (an answer found further back, records read at a
    restore) are *pins*: an input offset and the own-log offset that must stay readable until it is stored as finished.
    """

    def __init__(self, commit: Commit, room: int = SET_ROOM) -> None:
        self._room = room
        self.base = commit.base
        self.next = commit.base
        """The next input offset to be admitted; everything below was admitted or is finished."""
        self._done: set[int] = set()
        self._top = commit.base
        self._runs = 0
        """How many runs of neighbours the finished inputs above the base form: each is two numbers in the commit."""
        self._admitted: dict[int, int] = {}
        self._pins: dict[int, int] = {}
        for offset in commit.completed:
            self._finish(offset)

    def _finish(self, offset: int) -> None:
        done = self._done
        if offset not in done:
            self._runs += 1 - (offset - 1 in done) - (offset + 1 in done)
            self._top = max(self._top, offset)
            done.add(offset)

    def finished(self, offset: int) -> bool:
        """True if the input is finished: nothing of it has to be done again."""
        return offset < self.base or offset in self._done

    def admit(self, offset: int, own_position: int) -> None:
        """The input is being worked on. Offsets that the log skipped (transaction markers) count as finished."""
        for hole in range(max(self.next, self.base), offset):
            if hole not in self._admitted:
                self._finish(hole)
        self.next = offset + 1
        self._admitted[offset] = own_position
        self._advance()

    def skip(self, offset: int) -> None:
        """The input was finished before this restore: go past it."""
        self.next = max(self.next, offset + 1)

    def complete(self, offset: int) -> None:
        """The input is finished, durably."""
        if offset >= self.base:
            self._finish(offset)
            self._advance()

    def pin(self, offset: int, own_offset: int) -> None:
        """The own-log record at ``own_offset`` answers input ``offset``: keep it readable until that is stored.

        Also if the input is finished: it may yet be cut from a set that has grown too long.
        """
        if offset >= self.base:
            self._pins[offset] = min(own_offset, self._pins.get(offset, own_offset))

    def _advance(self) -> None:
        if self.base in self._done:
            self._runs -= 1  # the first run is all below the base now
        while self.base in self._done:
            self._done.discard(self.base)
            self._admitted.pop(self.base, None)
            self._pins.pop(self.base, None)
            self.base += 1

    @property
    def open(self) -> int:
        """How many inputs are admitted and not finished."""
        return len(self._admitted) - sum(1 for offset in self._done if offset in self._admitted)

    def crowded(self) -> bool:
        """True when the completed set takes over three quarters of its room: what can be parked is (rule 8)."""
        limit = self._room * 3 // 4
        digits = max(1, -(-(self._top + 1 - self.base).bit_length() // 5))
        if self._runs * 2 * digits <= limit:
            return False  # no number is above their span: it fits without being written out
        return len(encode_set(self.base, sorted(self._done))) > limit

    def full(self) -> bool:
        """True when no more may be admitted (rule 8). What lies below a finished input may: it makes the set shorter.

        Else a set that an earlier owner left crowded would keep out the very inputs that crowd it.
        """
        return self.next > self._top and self.crowded()

    def stored(self) -> tuple[int, ...]:
        """The completed set as a commit can hold it."""
        return fitting(self.base, sorted(self._done), self._room) if self._done else ()

    def own_floor(self, known: int, stored: Iterable[int]) -> int:
        """T (rule 9), against the set that is stored: the lowest own-log position that a restore has to read."""
        kept = set(stored)
        floor = known
        for held in (self._admitted, self._pins):
            for offset, position in held.items():
                if position < floor and offset >= self.base and offset not in kept:
                    floor = position
        return floor
