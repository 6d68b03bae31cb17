"""What a router sees of a pool itself: how much of what it sent there came back to be routed again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_WINDOW_MS: Final = 15_000
LEAST: Final = 10
"""Requests below which nothing is said."""
SHARE: Final = 0.5


@dataclass(slots=True)
class _Counts:
    since: int = 0
    went: int = 0
    came: int = 0
    went_before: int = 0
    came_before: int = 0


@dataclass(slots=True)
class Returns:
    """A replica may say of itself that it is well and refuse every call. Whose requests mostly come back is in doubt.

    Counts are of the last 15 to 30 seconds; ``now`` is milliseconds. It is a hint, lost with the process: a pool in
    doubt is asked after others, never not at all.
    """

    pools: dict[str, _Counts] = field(default_factory=dict)

    def went(self, pool: str, now: int) -> None:
        """A request was sent there."""
        self._at(pool, now).went += 1

    def came_back(self, pool: str, now: int) -> None:
        """One that was there wants to be routed again."""
        self._at(pool, now).came += 1

    def doubtful(self, pool: str, now: int) -> bool:
        """Whether half or more of what went there came back."""
        if pool not in self.pools:
            return False
        counts = self._at(pool, now)
        went = counts.went + counts.went_before
        return went >= LEAST and counts.came + counts.came_before >= went * SHARE

    def _at(self, pool: str, now: int) -> _Counts:
        counts = self.pools.setdefault(pool, _Counts(now))
        passed = now - counts.since
        if passed >= _WINDOW_MS:
            fresh = passed < 2 * _WINDOW_MS
            counts.went_before, counts.came_before = (counts.went, counts.came) if fresh else (0, 0)
            counts.since, counts.went, counts.came = now, 0, 0
        return counts
