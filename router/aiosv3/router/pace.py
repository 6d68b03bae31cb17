"""How fast an endpoint is against its own history: slow is not down, but others should be asked first."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_TOKENS_TO_JUDGE: Final = 8


@dataclass(frozen=True, slots=True)
class PacePolicy:
    """Slow: the median of the last ``recent`` calls is over ``factor`` times, and a margin above, the usual one.

    ``memory``: seconds after which a call is no longer recent; ``least``: calls below which nothing is said.
    ``history``: calls that make what is usual; until there are ``known`` of them nothing is slow.
    """

    factor: float = 3.0
    margin_ms: float = 250.0
    margin_token_ms: float = 20.0
    recent: int = 20
    least: int = 5
    memory: float = 60.0
    history: int = 256
    known: int = 20


class Track:
    """One measure of time, newest last, in milliseconds. ``clock`` is monotonic seconds."""

    def __init__(self, policy: PacePolicy, margin_ms: float, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._margin_ms = margin_ms
        self._clock = clock
        self._recent: deque[tuple[float, float]] = deque()
        self._usual: deque[float] = deque(maxlen=policy.history)

    def add(self, milliseconds: float) -> None:
        """A call has taken so long."""
        self._recent.append((self._clock(), milliseconds))
        if len(self._recent) > self._policy.recent:
            self._usual.append(self._recent.popleft()[1])

    def usual(self) -> float | None:
        """The median of its history, None until that says something."""
        self._age()
        return statistics.median(self._usual) if len(self._usual) >= self._policy.known else None

    def limit(self) -> float | None:
        """Above this it is slow."""
        usual = self.usual()
        return None if usual is None else max(usual * self._policy.factor, usual + self._margin_ms)

    def slow(self) -> tuple[float, float] | None:
        """``(now, usual)`` medians where the recent calls are far above the usual ones, else None."""
        usual, limit = self.usual(), self.limit()
        if usual is None or limit is None or len(self._recent) < self._policy.least:
            return None
        now = statistics.median(took for _, took in self._recent)
        return (now, usual) if now > limit else None

    def _age(self) -> None:
        since = self._clock() - self._policy.memory
        while self._recent and self._recent[0][0] < since:
            self._usual.append(self._recent.popleft()[1])


class Pace:
    """Time to the first token, time for each one after it, and what never ends; ``clock`` is monotonic seconds."""

    def __init__(self, policy: PacePolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._first = Track(policy, policy.margin_ms, clock)
        self._token = Track(policy, policy.margin_token_ms, clock)
        self._whole = Track(policy, policy.margin_ms, clock)
        self._out: dict[int, float] = {}
        self._ticket = 0

    def began(self) -> int:
        """A call went out; its ticket goes to :meth:`ended`."""
        self._ticket += 1
        self._out[self._ticket] = self._clock()
        return self._ticket

    def ended(self, ticket: int) -> None:
        """The call is over, answered or not."""
        self._out.pop(ticket, None)

    def answered(self, took_ms: float, first_ms: float | None, tokens: int) -> None:
        """An answer came whole."""
        self._whole.add(took_ms)
        self._first.add(took_ms if first_ms is None else first_ms)
        if first_ms is not None and tokens >= _TOKENS_TO_JUDGE:
            self._token.add((took_ms - first_ms) / (tokens - 1))

    def usual_ms(self) -> int | None:
        """The usual time to the first token."""
        usual = self._first.usual()
        return None if usual is None else round(usual)

    def slow(self) -> str | None:
        """In words where it is slower than usual, else None."""
        if (found := self._first.slow()) is not None:
            return f"slow: {found[0] / 1000:.1f} s to the first token, usually {found[1] / 1000:.1f} s"
        if (found := self._token.slow()) is not None:
            return f"slow: {found[0]:.0f} ms a token, usually {found[1]:.0f} ms"
        return self._stalled()

    def _stalled(self) -> str | None:
        """Calls that do not end are in no median: most of those that are out are past what is slow."""
        limit = self._whole.limit()
        if limit is None:
            return None
        now = self._clock()
        overdue = sum((now - began) * 1000 > limit for began in self._out.values())
        if overdue < self._policy.least or overdue * 2 <= len(self._out):
            return None
        return f"slow: {overdue} of {len(self._out)} calls are out for over {limit / 1000:.1f} s"
