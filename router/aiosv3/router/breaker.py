"""A circuit breaker for one endpoint: closed, open for a while, then one probe (half open)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final


class Circuit(Enum):
    """Closed: calls pass. Open: none does. Half open: one does, to see."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Cooldown:
    """What one class of failure asks for. ``at_once``: the first one opens, for more of them would teach nothing."""

    seconds: float
    at_once: bool = False


COOLDOWNS: Final[Mapping[str, Cooldown]] = MappingProxyType(
    {
        "Unreachable": Cooldown(2.0),  # it may be restarting, and asking costs nothing
        "CallTimeout": Cooldown(15.0),  # each probe costs its whole patience
        "CredentialsRefused": Cooldown(60.0, at_once=True),
        "ModelMissing": Cooldown(60.0, at_once=True),
        "RateLimited": Cooldown(60.0, at_once=True),  # of these only a used-up quota comes here
    }
)
"""By the name of the error; others rest for ``BreakerPolicy.cooldown``."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Opens after ``failures`` in a row, or where ``rate`` of ``sample`` calls within ``memory`` seconds failed.

    It stays open for the cooldown of the failure's class, doubled up to ``longest`` at every failed probe and each time
    that it opens again within ``memory`` of closing. ``longest_pause``: seconds that ``Retry-After`` is obeyed at most.
    """

    failures: int = 5
    cooldown: float = 5.0
    longest: float = 120.0
    longest_pause: float = 3_600.0
    rate: float = 0.5
    sample: int = 20
    memory: float = 60.0
    cooldowns: Mapping[str, Cooldown] = field(default_factory=lambda: COOLDOWNS)


class Breaker:
    """Counts outcomes. ``clock`` is monotonic seconds."""

    def __init__(self, policy: BreakerPolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self.failures = 0
        self.opened = 0
        """How often it has opened."""
        self._open_until: float | None = None
        self._cooldown = 0.0
        self._closed_at: float | None = None
        self._probing = False
        self._told: deque[tuple[float, bool]] = deque(maxlen=policy.sample)

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

    def error_rate(self) -> float | None:
        """Share of the recent calls that failed, None before the first."""
        since = self._clock() - self._policy.memory
        told = [failed for at, failed in self._told if at >= since]
        return sum(told) / len(told) if told else None

    def succeeded(self) -> None:
        """An answer came: all is well. One that was out before it opened does not end its rest."""
        self._told.append((self._clock(), False))
        if self.state is Circuit.OPEN:
            return
        self.failures = 0
        if self._open_until is not None:
            self._closed_at = self._clock()
        self._open_until = None
        self._probing = False

    def failed(self, cause: str = "") -> None:
        """A failure that speaks against the endpoint (not against the request). ``cause``: the name of its class."""
        now = self._clock()
        self._told.append((now, True))
        self.failures += 1
        asked = self._policy.cooldowns.get(cause, Cooldown(self._policy.cooldown))
        if self._probing or self._open_until is not None:
            if self._probing:
                self._open(asked, again=True)
        elif asked.at_once or self.failures >= self._policy.failures or self._mostly_failed():
            flaps = self._closed_at is not None and now - self._closed_at < self._policy.memory
            self._open(asked, again=flaps)
        self._probing = False

    def pause(self, seconds: float) -> None:
        """The endpoint asked for silence (``Retry-After``)."""
        self._open_until = max(self._open_until or 0.0, self._clock() + min(seconds, self._policy.longest_pause))
        self._probing = False

    def undecided(self) -> None:
        """A call ended without saying anything about the endpoint: the next one may probe."""
        self._probing = False

    def _open(self, asked: Cooldown, *, again: bool) -> None:
        least = asked.seconds
        self._cooldown = min(self._policy.longest, max(least, self._cooldown * 2)) if again else least
        self._open_until = self._clock() + self._cooldown
        self._told.clear()
        self.opened += 1

    def _mostly_failed(self) -> bool:
        """A pool that answers now and then never fails often enough in a row, and is no good all the same."""
        full = len(self._told) == self._policy.sample and self._told[0][0] >= self._clock() - self._policy.memory
        return full and (self.error_rate() or 0.0) >= self._policy.rate
