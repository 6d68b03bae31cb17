"""Following the two sides while they run: results as they come, and when there is nothing left to come."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from aiosv3.app.demo.calls import Tally
from aiosv3.app.demo.sides import ResultRecord
from aiosv3.app.demo.topiclog import Raw
from aiosv3.app.demo.view import Progress

_RATE_S: Final = 10.0
_LAST: Final = 3
_ASK_S: Final = 1.0


class ResultLog(Protocol):
    """What a follower needs of a topic."""

    def fresh(self, timeout_s: float) -> list[Raw]: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """A result as it comes: ``words`` say in short what it is."""

    record: ResultRecord
    words: str


class Follower:
    """One side's topic of results. ``read`` decodes; records of other runs are not among what it gives."""

    def __init__(
        self,
        name: str,
        log: ResultLog,
        read: Callable[[list[Raw]], Sequence[Seen]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.raws: list[Raw] = []
        self.records: list[ResultRecord] = []
        self._log = log
        self._read = read
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._last: deque[str] = deque(maxlen=_LAST)
        self._times: deque[float] = deque()

    @property
    def done(self) -> int:
        """Tasks with a result."""
        return len(self._counts)

    def look(self, timeout_s: float) -> int:
        """Takes in what has come, waiting for at most ``timeout_s`` seconds; how many records came."""
        fresh = self._log.fresh(timeout_s)
        self.raws += fresh
        now = self._clock()
        for seen in self._read(fresh):
            self.records.append(seen.record)
            if not self._counts[seen.record.task_id]:
                self._times.append(now)
            self._counts[seen.record.task_id] += 1
            self._last.appendleft(seen.words)
        while self._times and self._times[0] < now - _RATE_S:
            self._times.popleft()
        return len(fresh)

    def quiet(self, quiet_s: float) -> None:
        """Takes in what still comes, until nothing has for ``quiet_s`` seconds: late copies are counted, not missed."""
        while self.look(quiet_s):
            pass

    def progress(self, of: int, calls: Tally) -> Progress:
        """For the view."""
        twice = sum(count > 1 for count in self._counts.values())
        return Progress(self.name, self.done, of, twice, calls, len(self._times) / _RATE_S, tuple(self._last))


class Settling:
    """Whether the twin has nothing left to do, though results are missing.

    So it is when all tasks are behind its committed offsets, no call of it is in hand, and nothing has come for
    ``quiet_s`` seconds. The broker is asked once a second at most.
    """

    def __init__(
        self, is_empty: Callable[[], bool], quiet_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_empty = is_empty
        self._quiet_s = quiet_s
        self._clock = clock
        self._since = clock()
        self._asked = 0.0
        self._records = 0

    def is_over(self, records: int, open_calls: int) -> bool:
        """``records``: how many results have come, copies included; ``open_calls``: how many calls it has in hand."""
        now = self._clock()
        if open_calls or records != self._records:
            self._since, self._records = now, records
            return False
        if now - self._since < self._quiet_s or now - self._asked < _ASK_S:
            return False
        self._asked = now
        return self._is_empty()
