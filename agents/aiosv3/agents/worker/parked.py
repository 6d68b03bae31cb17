"""Parked tasks: their input is finished as far as offsets go, a carry in the journal stands for them (rule 23)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import eq
from typing import NamedTuple


@dataclass(slots=True)
class Parked:
    """A parked task, awake or asleep.

    ``offset``: that of its input. ``upto`` and ``own_upto``: what its newest acknowledged carry says, which hold the
    journal base and the own log (rules 9 and 10). ``carried``: when it was written (ms). ``mark``: journal bytes read
    up to then; ``size``: the carry's own bytes. ``body``: the carry while it sleeps, else None. ``opened``: False while
    a restore has not come to it yet. ``begun``: its coroutine was started, or may be.
    """

    task_id: str
    offset: int
    key: str | None
    upto: int
    own_upto: int
    carried: int
    mark: int
    size: int
    body: bytes | None = None
    opened: bool = True
    begun: bool = True
    carrying: bool = False
    sleep: int = 0
    """Which of all sleeps it sleeps; 0 while it is awake, or gone: the timers of that one count, and no others."""

    @property
    def lows(self) -> Lows:
        """What it holds back."""
        return Lows(self.upto, self.own_upto, self.mark, self.carried)

    @property
    def asleep(self) -> bool:
        """True while only its carry is kept."""
        return self.body is not None

    def rouse(self) -> None:
        """It does not sleep any more."""
        self.body = None
        self.sleep = 0


class Lows(NamedTuple):
    """The lowest of each that parked tasks have."""

    upto: int
    own_upto: int
    mark: int
    carried: int


class ParkedTasks:
    """The parked tasks of one partition, until their result is on the own log and forwarded."""

    def __init__(self) -> None:
        self._by_id: dict[str, Parked] = {}
        self._by_offset: dict[int, str] = {}
        self._lows: Lows | None = None
        self.size = 0
        """Bytes of all their carries."""

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Parked]:
        return iter(self._by_id.values())

    def get(self, task_id: str) -> Parked | None:
        """The parked task of this id."""
        return self._by_id.get(task_id)

    def add(self, parked: Parked) -> None:
        """Its carry is on the log."""
        if parked.task_id in self._by_id:
            self._lows = None
        self._by_id[parked.task_id] = parked
        self._by_offset[parked.offset] = parked.task_id
        self.size += parked.size
        self._comes(parked)

    def carried(self, parked: Parked, lows: Lows, size: int) -> None:
        """A newer carry of it is on the log."""
        self.size += size - parked.size
        self._leaves(parked)
        parked.upto, parked.own_upto, parked.mark, parked.carried = lows
        parked.size = size
        self._comes(parked)

    def remove(self, offset: int) -> None:
        """The task of this input has its result, forwarded and acknowledged: nothing is held back for it."""
        task_id = self._by_offset.pop(offset, None)
        if task_id is not None:
            parked = self._by_id.pop(task_id)
            self.size -= parked.size
            self._leaves(parked)

    def _comes(self, parked: Parked) -> None:
        if len(self) == 1:
            self._lows = parked.lows
        elif self._lows is not None:
            self._lows = Lows(*map(min, self._lows, parked.lows))

    def _leaves(self, parked: Parked) -> None:
        """It may have been the lowest: among a million few are, and only then is all looked at again."""
        if self._lows is not None and any(map(eq, self._lows, parked.lows)):
            self._lows = None

    def asleep(self) -> int:
        """How many sleep."""
        return sum(1 for parked in self if parked.asleep)

    def lows(self) -> Lows | None:
        """Asked for with each commit, and seldom another than before; None if nothing is parked."""
        if self._lows is None and self._by_id:
            self._lows = Lows(*map(min, zip(*(parked.lows for parked in self), strict=True)))
        return self._lows

    def journal_floor(self, top: int) -> int:
        """The lowest journal position that a restore of them reads from, at most ``top`` (rule 10)."""
        lows = self.lows()
        return top if lows is None else min(top, lows.upto)

    def own_floor(self, top: int) -> int:
        """The lowest own-log position that a restore of them reads from, at most ``top`` (rule 9)."""
        lows = self.lows()
        return top if lows is None else min(top, lows.own_upto)

    def clear(self) -> None:
        """The ownership ends."""
        self._by_id.clear()
        self._by_offset.clear()
        self._lows, self.size = None, 0
