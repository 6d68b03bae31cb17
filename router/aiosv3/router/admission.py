"""The own back-off from an endpoint that is well but full, and does not say for how long."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """Seconds: the first wait, doubled at each refusal after it up to ``longest``."""

    first: float = 0.25
    longest: float = 8.0


class Admission:
    """Rests after an endpoint refused a call for want of room (503, 429 without ``Retry-After``).

    Nothing here speaks against the endpoint: its breaker stays closed, and routers hear when to come back. Calls that
    were out together count as one refusal. ``clock`` is monotonic seconds; ``chance`` gives 0..1, so that replicas do
    not come back together.
    """

    def __init__(
        self, policy: AdmissionPolicy, clock: Callable[[], float], chance: Callable[[], float] = random.random
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._chance = chance
        self._until = 0.0
        self._wait = 0.0
        self.refusals = 0

    def refused(self) -> None:
        """It was full."""
        self.refusals += 1
        now = self._clock()
        if now < self._until:
            return
        self._wait = min(self._policy.longest, self._wait * 2 or self._policy.first)
        self._until = now + self._wait * (0.5 + 0.5 * self._chance())

    def passed(self) -> None:
        """It took and answered a call: there is room."""
        self._until = self._wait = 0.0

    def remaining(self) -> float:
        """Seconds until it may be asked again."""
        return max(0.0, self._until - self._clock())
