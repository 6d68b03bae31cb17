"""What is known of a pool: its settings, and what its replicas last said of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from aiosv3.router.prices.measured import own_gpu_price
from aiosv3.router.prices.price import Price
from aiosv3.router.returns import Returns
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import PoolState, PoolStatus

__all__ = ["STATUS_FRESH_MS", "Health", "Pool", "PoolTable", "Price"]

STATUS_FRESH_MS: Final = 15_000
"""How long a replica's word about itself counts. A pool that never spoke is tried: it may just have been started."""
SERVER_FRESH_MS: Final = 7_000
"""How long the word of a model server counts: five seconds with its worker, and two until the next status."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as configured. ``quality``: 0..1, how hard the questions are that its model answers well.

    ``region``: where prompts are worked on, empty where nobody said. ``data_terms``: what the provider promises.
    ``priced`` False: nobody knows what it costs, and ``price`` is an assumption. ``later``: prices to come, each with
    the time from which it holds, in milliseconds since the epoch, the next first.
    """

    name: str
    kind: str
    model: str
    clearance: Clearance = Clearance.PUBLIC
    price: Price = Price()
    context_window: int = 128_000
    quality: float = 0.5
    capabilities: frozenset[str] = frozenset({"json"})
    region: str = ""
    data_terms: frozenset[str] = frozenset()
    priced: bool = True
    later: tuple[tuple[int, Price], ...] = ()

    def at(self, now: int) -> Pool:
        """The pool with its price at ``now``."""
        if not self.later or now < self.later[0][0]:
            return self
        begun = [price for since, price in self.later if since <= now]
        return replace(self, price=begun[-1], later=self.later[len(begun) :])


@dataclass(slots=True)
class PoolTable:
    """The newest status of every replica, as read from ``pools``, and what came back from them: the router's moving
    inputs.
    """

    replicas: dict[tuple[str, str], PoolStatus] = field(default_factory=dict)
    changes: int = 0
    """How much news there has been."""
    returns: Returns = field(default_factory=Returns)

    def apply(self, status: PoolStatus) -> None:
        """Takes a status unless a newer one of the same replica is known."""
        at = (status.pool, status.replica)
        known = self.replicas.get(at)
        if known is None or known.updated <= status.updated:
            self.replicas[at] = status
            self.changes += 1

    def priced(self, pools: Sequence[Pool], now: int) -> tuple[Pool, ...]:
        """The pools with their prices at ``now``: of the table, or as their replicas have measured it last.

        Which replica will answer is not known, so the dearest counts.
        """
        said: dict[str, int] = {}
        for (name, _), status in self.replicas.items():
            if status.usd_micros_per_mtok is not None and now - status.updated <= STATUS_FRESH_MS:
                said[name] = max(status.usd_micros_per_mtok, said.get(name, 0))
        return tuple(
            replace(pool, price=own_gpu_price(said[pool.name])) if pool.name in said else pool.at(now) for pool in pools
        )

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
        tails = [s.latency_ms_p95 for s in up if s.latency_ms_p95 is not None]
        return Health(
            known=True,
            degraded=all(s.state is PoolState.DEGRADED for s in up) or self.returns.doubtful(pool, now),
            # Its own calls are known at once; what the server says is a second old, and counts where it is worse.
            load=min(1.0, max(sum(s.in_flight for s in up) / limit, sum(_pressure(s, now) for s in up) / len(up))),
            latency_ms=min(waits) if waits else None,
            latency_p95_ms=round(sum(tails) / len(tails)) if tails else None,
        )


def _pressure(status: PoolStatus, now: int) -> float:
    """How full a replica's server is, 0..1, by its own words; one that must be woken is asked last."""
    if status.asleep:
        return 1.0
    if status.server_seen is None or now - status.server_seen > SERVER_FRESH_MS:
        return 0.0
    return 1.0 if status.server_waiting else status.cache_usage or 0.0


@dataclass(frozen=True, slots=True)
class Health:
    """``down``: why the pool cannot be used now, None if it can. ``load``: 0..1 of its limit.

    Which replica gets a request is Kafka's to say, so ``latency_p95_ms`` is the mean of what they say.
    """

    known: bool
    down: str | None = None
    degraded: bool = False
    load: float = 0.0
    latency_ms: int | None = None
    latency_p95_ms: int | None = None
