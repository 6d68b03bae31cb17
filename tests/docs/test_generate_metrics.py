"""docs/reference/metrics.md is what a worker's port serves, today."""

from __future__ import annotations

import re
from typing import Final

from prometheus_client import generate_latest

from aiosv3.streams.metrics import MetricsCatalogue
from docs import generate_metrics as reference

PAGE: Final = reference.TARGET.read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    assert reference.page() == PAGE, "a metric has changed: run 'python -m docs.generate_metrics'"


def test_names_are_those_that_are_served() -> None:
    catalogue = MetricsCatalogue()
    catalogue.processor("router")
    served = generate_latest(catalogue.registry).decode()
    names = {one.name for one in reference.metrics() if one.kind != "histogram"}
    assert len(names) > 10
    assert {name for name in names if f'\n{name}{{processor="router"}}' not in served} == set()
    assert '\naiosv3_work_seconds_bucket{le="0.001",processor="router"}' in served


def test_the_text_speaks_of_metrics_that_exist() -> None:
    named = set(re.findall(r"`(aiosv3_\w+)`", PAGE))
    assert named == {one.name for one in (*reference.metrics(), *reference.pool_metrics(), *reference.money_metrics())}
