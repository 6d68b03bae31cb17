"""What Prometheus sees of a pool's replica, read from its model worker when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aiosv3.router.breaker import Circuit
from aiosv3.router.guard import Guard

_CIRCUITS: Final = {Circuit.CLOSED: 0, Circuit.HALF_OPEN: 1, Circuit.OPEN: 2}


class _Gauge(NamedTuple):
    name: str
    meaning: str
    read: Callable[[Guard], float | None]
    """None: there is nothing to tell now, and no sample."""


class _Counter(NamedTuple):
    name: str
    meaning: str
    read: Callable[[Guard], float]


def _cache_usage(guard: Guard) -> float | None:
    load = guard.backing.load()
    return None if load is None else load.cache_usage


def _hit_rate(guard: Guard) -> float | None:
    load = guard.backing.load()
    return None if load is None else load.prefix_hit_rate


def _running(guard: Guard) -> float | None:
    load = guard.backing.load()
    return None if load is None else load.running


def _waiting(guard: Guard) -> float | None:
    load = guard.backing.load()
    return None if load is None else load.waiting


GAUGES: Final = (
    _Gauge(
        "pool_circuit", "Breaker of the endpoint: 0 closed, 1 on trial, 2 open.", lambda g: _CIRCUITS[g.breaker.state]
    ),
    _Gauge("pool_resting_seconds", "Seconds until its endpoint may be called again.", lambda g: g.resting()),
    _Gauge(
        "pool_slow",
        "1 while it is far slower than its own history, else 0.",
        lambda g: float(g.pace.slow() is not None),
    ),
    _Gauge("pool_error_rate", "Share of its recent calls that failed.", lambda g: g.breaker.error_rate()),
    _Gauge("pool_retry_budget", "Share of its retries that may still be made.", lambda g: g.retries.left()),
    _Gauge("pool_server_running", "Calls that its model server works on, from whoever they came.", _running),
    _Gauge("pool_server_waiting", "Calls that wait in its model server because it is full.", _waiting),
    _Gauge("pool_cache_usage", "How full the key-value cache of its model server is, 0 to 1.", _cache_usage),
    _Gauge("pool_prefix_hit_rate", "Share of prompt tokens that its model server lately had in its cache.", _hit_rate),
)
COUNTERS: Final = (
    _Counter("pool_opened", "How often its breaker has opened.", lambda g: g.breaker.opened),
    _Counter("pool_full", "Calls that its endpoint refused for want of room.", lambda g: g.admission.refusals),
    _Counter("pool_retries", "Calls of its endpoint that were retries.", lambda g: g.retries.made),
    _Counter("pool_retries_withheld", "Retries that its budget did not allow.", lambda g: g.retries.withheld),
    _Counter(
        "pool_dropped_tokens", "Estimated tokens of answers dropped half-way when a partition went: on no bill.",
        lambda g: g.lost_tokens,
    ),
    _Counter(
        "pool_dropped_usd_micros", "Estimated cost of calls dropped half-way, in millionths of a dollar: on no bill.",
        lambda g: g.lost_usd_micros,
    ),
)  # fmt: skip


class PoolCollector(Collector):
    """The metrics of one replica, with the label of its processor."""

    def __init__(self, guard: Guard, processor: str) -> None:
        self._guard = guard
        self._processor = processor

    def collect(self) -> Iterator[Metric]:
        yield from self._families(told=True)

    def describe(self) -> Iterator[Metric]:
        """All of them, told or not: what a registry checks names by."""
        yield from self._families(told=False)

    def _families(self, *, told: bool) -> Iterator[Metric]:
        for gauge in GAUGES:
            family = GaugeMetricFamily(f"aiosv3_{gauge.name}", gauge.meaning, labels=["processor"])
            value = gauge.read(self._guard) if told else None
            if value is not None:
                family.add_metric([self._processor], value)
            yield family
        for counter in COUNTERS:
            counted = CounterMetricFamily(f"aiosv3_{counter.name}", counter.meaning, labels=["processor"])
            if told:
                counted.add_metric([self._processor], counter.read(self._guard))
            yield counted


def expose(guard: Guard, processor: str, registry: CollectorRegistry) -> None:
    """From now on the registry has the metrics of this replica."""
    registry.register(PoolCollector(guard, processor))
