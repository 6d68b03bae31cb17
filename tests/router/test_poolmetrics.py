from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from aiosv3.router.endpoints.errors import CredentialsRefused, Overloaded
from aiosv3.router.guard import Guard, NoBacking, ServerLoad
from aiosv3.router.poolmetrics import COUNTERS, GAUGES, expose
from aiosv3.streams.metrics import MetricsCatalogue


class Server(NoBacking):
    """A server that tells its load."""

    def load(self) -> ServerLoad:
        return ServerLoad(3, 1, 0.75, None, 5)


def test_prometheus_sees_what_stands_between_a_worker_and_its_endpoint() -> None:
    registry = CollectorRegistry()
    guard = Guard(backing=Server())
    expose(guard, "pool.own", registry)

    def value(name: str) -> float | None:
        return registry.get_sample_value(f"aiosv3_{name}", {"processor": "pool.own"})

    assert (value("pool_circuit"), value("pool_error_rate"), value("pool_retry_budget")) == (0.0, None, 1.0)
    assert (value("pool_server_running"), value("pool_server_waiting"), value("pool_cache_usage")) == (3.0, 1.0, 0.75)
    assert value("pool_prefix_hit_rate") is None
    guard.failed(Overloaded("full", status=503))
    guard.failed(CredentialsRefused("no", status=401))
    guard.lost_tokens += 7
    guard.lost_usd_micros += 9
    for _ in range(11):
        guard.retries.take()
    assert (value("pool_circuit"), value("pool_opened_total"), value("pool_full_total")) == (2.0, 1.0, 1.0)
    assert (value("pool_retries_total"), value("pool_retries_withheld_total")) == (10.0, 1.0)
    assert value("pool_dropped_tokens_total") == 7.0
    assert value("pool_dropped_usd_micros_total") == 9.0
    assert (value("pool_resting_seconds") or 0.0) > 50.0
    assert (value("pool_retry_budget") or 0.0) < 0.2


def test_they_stand_beside_those_of_every_processor() -> None:
    catalogue = MetricsCatalogue()
    expose(Guard(), "pool.own", catalogue.registry)
    text = generate_latest(catalogue.registry).decode()
    assert all(f"aiosv3_{one.name}" in text for one in (*GAUGES, *COUNTERS))
