"""Writes the reference of metrics from the catalogue that makes them: ``python -m docs.generate_metrics``.

The page is kept in the repository, so that it can be read there; ``tests/docs`` says when it is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docs.tables import cell, table, write

from aiosv3.router.guard import Guard
from aiosv3.router.ledger.tally import LedgerCollector, Tally
from aiosv3.router.poolmetrics import PoolCollector
from aiosv3.streams.metrics import LATENCY_BUCKETS, MetricsCatalogue

TARGET = Path(__file__).resolve().parent / "reference" / "metrics.md"
_HEAD = """# Metrics

<!-- Written by docs/generate_metrics.py: do not edit. -->

Each worker serves Prometheus metrics at `/metrics` where `AIOSV3_METRICS__PORT` says so
([settings](settings.md#metrics)); `aiosv3 up` gives each of its workers a free port. All have one label, `processor`:
`router`, `desk`, `agent.NAME`, `pool.NAME`, `tools.ZONE`.
"""
_POOLS = """## Model workers

Those of a pool have these besides, with `pool.NAME` as their processor ([pools](../concepts/routing.md)). What a model
server says of itself is there for vLLM, and only while it is fresh.
"""
_MONEY = """## Routers

Those have these besides, for the budgets of the partitions that they own ([money](../money.md)). Their label is `kind`:
`tree`, `tenant` or `agent`.
"""
_TAIL = """Each also has a `…_created` series with the time of its making. What waits in Kafka is the lag of the group
that is named like the processor, after the prefix (`aios.agent.triage`): any Kafka exporter shows it.

## What to look at first

| question | look at |
|---|---|
| is something stuck? | `aiosv3_tasks_stuck` over 0: `aiosv3 task stuck AGENT` says which and why |
| is something lost to bad input? | `aiosv3_dead_letters_total` rises: `aiosv3 dlq list` |
| do workers fight for partitions? | `aiosv3_ownership_contested_total`, `aiosv3_commits_refused_total` rise together |
| does a provider fail, or slow down? | `aiosv3_pool_circuit`, `aiosv3_pool_error_rate`, `aiosv3_pool_slow` |
| is a pool full? | `aiosv3_pool_full_total`, `aiosv3_pool_server_waiting`, `aiosv3_pool_cache_usage` |
| is it slow? | `aiosv3_work_seconds` by processor, against `aiosv3_records_open` |
| does money run out? | `aiosv3_budget_refused_total`, `aiosv3_budget_waits_total`; names by `aiosv3 budget show` |
| does a follower see all that is shown? | `aiosv3_deltas_dropped_total`, `aiosv3_deltas_misaddressed_total` |
"""


class Metric(NamedTuple):
    """One metric as Prometheus names it."""

    name: str
    kind: str
    meaning: str


def metrics() -> Iterator[Metric]:
    """All that a process exports, as its registry describes them, in alphabetical order."""
    for family in sorted(MetricsCatalogue().registry.collect(), key=lambda one: one.name):
        suffix = "_total" if family.type == "counter" else ""
        yield Metric(family.name + suffix, family.type, family.documentation)


def pool_metrics() -> Iterator[Metric]:
    """What a model worker exports besides."""
    for family in sorted(PoolCollector(Guard(), "pool.NAME").describe(), key=lambda one: one.name):
        suffix = "_total" if family.type == "counter" else ""
        yield Metric(family.name + suffix, family.type, family.documentation)


def money_metrics() -> Iterator[Metric]:
    """What a router exports besides."""
    for family in sorted(LedgerCollector(Tally(), list).collect(), key=lambda one: one.name):
        suffix = "_total" if family.type == "counter" else ""
        yield Metric(family.name + suffix, family.type, family.documentation)


def _table(shown: Iterator[Metric]) -> list[str]:
    return table(("metric", "kind", "meaning"), [(f"`{one.name}`", one.kind, cell(one.meaning)) for one in shown])


def page() -> str:
    """The whole page."""
    buckets = ", ".join(f"{bucket:g}" for bucket in LATENCY_BUCKETS)
    lines = [
        _HEAD,
        *_table(metrics()),
        f"Buckets of the histogram, in seconds: {buckets}.",
        "",
        _POOLS,
        *_table(pool_metrics()),
        _MONEY,
        *_table(money_metrics()),
        _TAIL,
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    write(TARGET, page())
    sys.stdout.write(f"{TARGET}\n")
