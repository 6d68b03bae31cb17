"""What stands between a model worker and its endpoint: whether a call may go now, and what its outcome says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiosv3.router.admission import Admission, AdmissionPolicy
from aiosv3.router.breaker import Breaker, BreakerPolicy, Circuit
from aiosv3.router.endpoints.endpoint import Completed
from aiosv3.router.endpoints.errors import EndpointError, Overloaded, RateLimited
from aiosv3.router.pace import Pace, PacePolicy
from aiosv3.router.retries import RetryBudget, RetryPolicy


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """What a model server says of itself. ``cache_usage``, ``prefix_hit_rate``: 0..1. ``seen``: ms since the epoch."""

    running: int
    waiting: int
    cache_usage: float | None
    prefix_hit_rate: float | None
    seen: int


class Backing(Protocol):
    """The server behind an endpoint, where it is one of ours and can be looked at."""

    @property
    def asleep(self) -> bool:
        """Whether it sleeps and the next call has to wake it."""
        ...

    def blocked(self) -> str | None:
        """Why no call may go now, in words; None if one may."""
        ...

    def load(self) -> ServerLoad | None:
        """What it said last; None where that is too old, or it says nothing."""
        ...

    async def wake(self) -> None:
        """Wakes it and waits for it; at once where it is awake. Raises ``EndpointError``."""
        ...


class NoBacking:
    """An endpoint that is somebody else's: nothing is known but what its answers say."""

    asleep = False

    def blocked(self) -> str | None:
        return None

    def load(self) -> ServerLoad | None:
        return None

    async def wake(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """The parts' own policies."""

    breaker: BreakerPolicy = BreakerPolicy()
    admission: AdmissionPolicy = AdmissionPolicy()
    retries: RetryPolicy = RetryPolicy()
    pace: PacePolicy = PacePolicy()


class Guard:
    """One for each replica of a pool. ``clock`` is monotonic seconds."""

    def __init__(
        self,
        policy: GuardPolicy | None = None,
        backing: Backing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        policy = policy or GuardPolicy()
        self.breaker = Breaker(policy.breaker, clock)
        self.admission = Admission(policy.admission, clock)
        self.retries = RetryBudget(policy.retries, clock)
        self.pace = Pace(policy.pace, clock)
        self.backing: Backing = backing or NoBacking()
        self.note = ""
        """The last failure, without a word of the provider's: that may quote the prompt, and the status is for all."""
        self.lost_tokens = 0
        """Estimated output of calls that were dropped half-way and are made again elsewhere: paid, on no bill."""
        self.lost_usd_micros = 0
        """Their estimated cost."""

    def refusal(self) -> str | None:
        """Why no call may go now, in words; None: one may, and its outcome must be told."""
        if (blocked := self.backing.blocked()) is not None:
            return blocked
        if self.admission.remaining():
            return f"is full ({self.note or 'it refused a call'})"
        if not self.breaker.allow():
            return f"is cooling down: {self.note or 'its endpoint failed'}"
        return None

    def resting(self) -> float:
        """Seconds until a call may go, as far as that is known."""
        return max(self.breaker.remaining(), self.admission.remaining())

    def answered(self, done: Completed, took_ms: int) -> None:
        """A call was answered whole."""
        self.breaker.succeeded()
        self.admission.passed()
        self.pace.answered(took_ms, done.first_token_ms, done.output_tokens)

    def failed(self, error: EndpointError) -> None:
        """A call failed."""
        self.note = error.label
        if error.trips_breaker:
            self.breaker.failed(type(error).__name__)
        else:
            self.breaker.undecided()
        if error.retry_after_s:
            self.breaker.pause(error.retry_after_s)
        elif isinstance(error, Overloaded | RateLimited) and not error.trips_breaker:
            self.admission.refused()

    def ailing(self) -> str | None:
        """Why others should be asked first, in words, though calls may go: it is on trial, or slower than usual."""
        if self.breaker.state is Circuit.HALF_OPEN:
            return f"on trial after {self.note or 'failures'}"
        return self.pace.slow()
