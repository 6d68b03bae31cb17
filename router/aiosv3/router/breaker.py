"""A circuit breaker for one endpoint: closed, open for a while, then one probe (half open)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Circuit(Enum):
    """Closed: calls pass. Open: none does. Half open: one does, to see."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Opens after ``failures`` in a row, for ``cooldown`` seconds, doubled at every failed probe up to ``longest``."""

    failures: int = 5
    cooldown: float = 5.0
    longest: float = 120.0


class Breaker:
    """Counts outcomes. ``clock`` is monotonic seconds."""

    def __init__(self, policy: BreakerPolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self.failures = 0
        self._open_until: float | None = None
        self._cooldown = policy.cooldown
        self._probing = False

    @property
    def state(self) -> Circuit:
        if self._open_until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if self._clock() < self._open_until else Circuit.HALF_OPEN

    def remaining(self) -> float:
        """Seconds until the next probe may go."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def allow(self) -> bool:
        """True if a call may go now; in half open only one may, until its outcome is told."""
        state = self.state
        if state is Circuit.HALF_OPEN and not self._probing:
            self._probing = True
            return True
        return state is Circuit.CLOSED

    def succeeded(self) -> None:
        """An answer came: all is well."""
        self.failures = 0
        self._open_until = None
        self._cooldown = self._policy.cooldown
        self._probing = False

    def failed(self) -> None:
        """A failure that speaks against the endpoint (not against the request)."""
        self.failures += 1
        if self._probing:
            self._cooldown = min(self._policy.longest, self._cooldown * 2)
        if self._probing or self.failures >= self._policy.failures:
            self._open_until = self._clock() + self._cooldown
        self._probing = False

    def pause(self, seconds: float) -> None:
        """The endpoint asked for silence (``Retry-After``)."""
        self._open_until = max(self._open_until or 0.0, self._clock() + min(seconds, self._policy.longest))
        self._probing = False

    def undecided(self) -> None:
        """A call ended without saying anything about the endpoint: the next one may probe."""
        self._probing = False
