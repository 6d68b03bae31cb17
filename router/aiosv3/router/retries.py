"""A budget for retries: when an endpoint fails, calling it again must not become most of its work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``share``: retries that each call earns. ``a_second``: what time alone earns, so that a quiet pool may retry too.

    ``most`` are saved up, and are there at the start.
    """

    share: float = 0.1
    a_second: float = 0.1
    most: float = 10.0


class RetryBudget:
    """Retries made stay below ``most + share * calls + a_second * seconds``. ``clock`` is monotonic seconds."""

    def __init__(self, policy: RetryPolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._left = policy.most
        self._at = clock()
        self.made = 0
        self.withheld = 0

    def called(self) -> None:
        """A call that is no retry went out."""
        self._earn(self._policy.share)

    def take(self) -> bool:
        """True if a retry may go now; then it is spent."""
        self._earn(0.0)
        if self._left < 1.0:
            self.withheld += 1
            return False
        self._left -= 1.0
        self.made += 1
        return True

    def left(self) -> float:
        """0..1 of what can be saved up."""
        self._earn(0.0)
        return self._left / self._policy.most

    def _earn(self, earned: float) -> None:
        now = self._clock()
        earned += self._policy.a_second * (now - self._at)
        self._at = now
        self._left = min(self._policy.most, self._left + earned)
