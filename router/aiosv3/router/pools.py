"""What is known of a pool: its settings, and what its replicas last said of themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import PoolState, PoolStatus, Usage

STATUS_FRESH_MS: Final = 15_000
"""How long a replica's word about itself counts. A pool that never spoke is tried: it may just have been started."""


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-dollars per million tokens; ``cached`` None: cached input costs as much as fresh."""

    input_micros_per_mtok: int = 0
    output_micros_per_mtok: int = 0
    cached_micros_per_mtok: int | None = None

    def of(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int:
        """What that many tokens cost, in micro-dollars, rounded up: a bill is never under-estimated."""
        cached = self.input_micros_per_mtok if self.cached_micros_per_mtok is None else self.cached_micros_per_mtok
        fresh = max(0, input_tokens - cached_tokens)
        total = (
            fresh * self.input_micros_per_mtok + cached_tokens * cached + output_tokens * self.output_micros_per_mtok
        )
        return -(-total // 1_000_000)

    def usage(self, input_tokens: int, output_tokens: int, cached_tokens: int) -> Usage:
        """One call as a :class:`Usage`."""
        cost = self.of(input_tokens, output_tokens, cached_tokens)
        return Usage(1, input_tokens, output_tokens, cached_tokens, cost)


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as configured. ``quality``: 0..1, how hard the questions are that its model answers well."""

    name: str
    kind: str
    model: str
    clearance: Clearance = Clearance.PUBLIC
    price: Price = Price()
    context_window: int = 128_000
    quality: float = 0.5
    capabilities: frozenset[str] = frozenset({"json"})


@dataclass(slots=True)
class PoolTable:
    """The newest status of every replica, as read from ``pools``: the router's only moving input."""

    replicas: dict[tuple[str, str], PoolStatus] = field(default_factory=dict)

    def apply(self, status: PoolStatus) -> None:
        """Takes a status unless a newer one of the same replica is known."""
        at = (status.pool, status.replica)
        known = self.replicas.get(at)
        if known is None or known.updated <= status.updated:
            self.replicas[at] = status

    def health(self, pool: str, now: int) -> Health:
        """What the fresh replicas of a pool say together."""
        said = [s for (name, _), s in self.replicas.items() if name == pool and now - s.updated <= STATUS_FRESH_MS]
        if not said:
            return Health(known=False)
        up = [s for s in said if s.state is not PoolState.DOWN and (s.retry_after is None or s.retry_after <= now)]
        if not up:
            notes = "; ".join(sorted({s.note for s in said if s.note})) or "all replicas are down"
            return Health(known=True, down=notes)
        limit = sum(s.limit for s in up) or 1
        waits = [s.latency_ms_p50 for s in up if s.latency_ms_p50 is not None]
        return Health(
            known=True,
            degraded=all(s.state is PoolState.DEGRADED for s in up),
            load=min(1.0, sum(s.in_flight for s in up) / limit),
            latency_ms=min(waits) if waits else None,
        )


@dataclass(frozen=True, slots=True)
class Health:
    """``down``: why the pool cannot be used now, None if it can. ``load``: 0..1 of its limit."""

    known: bool
    down: str | None = None
    degraded: bool = False
    load: float = 0.0
    latency_ms: int | None = None
