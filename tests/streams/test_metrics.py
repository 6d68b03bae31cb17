"""The catalogue of metrics: names, labels, and that a processor's are its own."""

from __future__ import annotations

import dataclasses
import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from aiosv3.streams.metrics import LATENCY_BUCKETS, MetricsCatalogue, ProcessorMetrics

COUNTERS = {
    "received": "aiosv3_records_received_total",
    "completed": "aiosv3_records_completed_total",
    "answered_again": "aiosv3_answers_repeated_total",
    "dead_letters": "aiosv3_dead_letters_total",
    "commits": "aiosv3_commits_total",
    "commits_refused": "aiosv3_commits_refused_total",
    "contested": "aiosv3_ownership_contested_total",
    "deltas": "aiosv3_deltas_total",
    "deltas_dropped": "aiosv3_deltas_dropped_total",
    "deltas_misaddressed": "aiosv3_deltas_misaddressed_total",
}
GAUGES = {
    "partitions": "aiosv3_partitions_owned",
    "open": "aiosv3_records_open",
    "parked": "aiosv3_tasks_parked",
    "asleep": "aiosv3_tasks_asleep",
    "stuck": "aiosv3_tasks_stuck",
}


def test_the_catalogue_is_whole() -> None:
    fields = {field.name for field in dataclasses.fields(ProcessorMetrics)}
    assert fields == {*COUNTERS, *GAUGES, "work_seconds"}


@pytest.mark.parametrize(("field", "name"), [*COUNTERS.items(), *GAUGES.items()])
def test_each_field_moves_the_metric_of_its_processor(field: str, name: str) -> None:
    catalogue = MetricsCatalogue()
    router = catalogue.processor("router")
    catalogue.processor("worker")
    getattr(router, field).inc(2)
    assert catalogue.registry.get_sample_value(name, {"processor": "router"}) == 2
    assert catalogue.registry.get_sample_value(name, {"processor": "worker"}) == 0
    moved = [
        sample.name
        for metric in catalogue.registry.collect()
        for sample in metric.samples
        if sample.value == 2 and sample.labels["processor"] == "router"
    ]
    assert moved == [name]


def test_work_is_counted_in_seconds() -> None:
    catalogue = MetricsCatalogue()
    catalogue.processor("router").work_seconds.observe(0.02)
    value = catalogue.registry.get_sample_value
    assert value("aiosv3_work_seconds_sum", {"processor": "router"}) == pytest.approx(0.02)
    assert value("aiosv3_work_seconds_bucket", {"processor": "router", "le": "0.01"}) == 0
    assert value("aiosv3_work_seconds_bucket", {"processor": "router", "le": "0.025"}) == 1
    assert list(LATENCY_BUCKETS) == sorted(LATENCY_BUCKETS)


def test_a_given_registry_is_used_and_every_metric_says_what_it_is() -> None:
    registry = CollectorRegistry()
    MetricsCatalogue(registry).processor("router")
    text = generate_latest(registry).decode()
    described = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE))
    assert {name for name in described if not name.endswith("_created")} == {
        *COUNTERS.values(),
        *GAUGES.values(),
        "aiosv3_work_seconds",
    }


def test_two_catalogues_do_not_share() -> None:
    one, other = MetricsCatalogue(), MetricsCatalogue()
    one.processor("router").received.inc()
    assert other.registry.get_sample_value(COUNTERS["received"], {"processor": "router"}) is None
