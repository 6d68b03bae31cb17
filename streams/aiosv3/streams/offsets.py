"""Which inputs of one partition are finished, and what a commit may therefore say (protocol rules 7 to 10)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiosv3.streams.commit import METADATA_LIMIT, Commit, encode_set, fitting

_HEAD_ROOM: Final = 80
"""Characters kept free for ``version|epoch|T|Bbase|`` (four numbers of up to 19 digits)."""
SET_ROOM: Final = METADATA_LIMIT - _HEAD_ROOM
CROWDED: Final = METADATA_LIMIT * 3 // 4


class Offsets:
    """Finished and open inputs above a base, and the own-log positions that they hold back.

    Every admitted input remembers the own-log position at its admission; those positions never fall as offsets rise,
    so the lowest open input has the lowest of them. Exceptions (an answer found further back, records read at a
    restore) are *pins*: an input offset and the own-log offset that must stay readable until it is stored as finished.
    """

    def __init__(self, commit: Commit) -> None:
        self.base = commit.base
        self.next = commit.base
        """The next input offset to be admitted; everything below was admitted or is finished."""
        self._done = set(commit.completed)
        self._admitted: dict[int, int] = {}
        self._pins: dict[int, int] = {}

    def finished(self, offset: int) -> bool:
        """True if the input is finished: nothing of it has to be done again."""
        return offset < self.base or offset in self._done

    def admit(self, offset: int, own_position: int) -> None:
        """The input is being worked on. Offsets that the log skipped (transaction markers) count as finished."""
        for hole in range(self.next, offset):
            if hole not in self._admitted:
                self._done.add(hole)
        self.next = offset + 1
        self._admitted[offset] = own_position
        self._advance()

    def skip(self, offset: int) -> None:
        """The input was finished before this restore: go past it."""
        self.next = max(self.next, offset + 1)

    def complete(self, offset: int) -> None:
        """The input is finished, durably."""
        if offset >= self.base:
            self._done.add(offset)
            self._advance()

    def pin(self, offset: int, own_offset: int) -> None:
        """The own-log record at ``own_offset`` answers input ``offset``: keep it readable until that is stored.

        Also if the input is finished: it may yet be cut from a set that has grown too long.
        """
        if offset >= self.base:
            self._pins[offset] = min(own_offset, self._pins.get(offset, own_offset))

    def _advance(self) -> None:
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
        """True when the completed set takes over three quarters of its room: admit no more (rule 8)."""
        done = self._done
        return len(done) > CROWDED // 4 and len(encode_set(self.base, sorted(done))) > CROWDED

    def stored(self) -> tuple[int, ...]:
        """The completed set as a commit can hold it."""
        return fitting(self.base, sorted(self._done), SET_ROOM) if self._done else ()

    def own_floor(self, known: int, stored: Iterable[int]) -> int:
        """T (rule 9), against the set that is stored: the lowest own-log position that a restore has to read."""
        kept = set(stored)
        floor = known
        for held in (self._admitted, self._pins):
            for offset, position in held.items():
                if position < floor and offset >= self.base and offset not in kept:
                    floor = position
        return floor
