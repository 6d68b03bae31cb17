"""The short form: one round of what ``make chaos`` does for minutes, on the broker that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.stage import Plan, Stage, shown

ONE_OF_EACH = ("steps-1", "queue-1", "router-1", "pool-1", "tools-1", "memory-1")


def _kill_two(stage: Stage) -> None:
    stage.idle(0.5, 1.5)
    names = stage.rng.sample(ONE_OF_EACH, 2)
    stage.workers.kill(*names)
    stage.idle(0.0, 1.0)
    stage.workers.restart(*names)


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.timeout(600)
def test_workers_are_killed_and_nothing_is_lost_duplicated_reordered_or_repeated(tmp_path: Path, kafka: str) -> None:
    stage = Stage("short", Plan(rate=4.0, names=ONE_OF_EACH), tmp_path, seed=7, seconds=0.0, bootstrap=kafka)
    report = stage.run(_kill_two)
    assert report.violations == [], f"{shown(report)}\n{stage.workers.logs()}"
    assert report.faults == 1
    assert min(report.tasks, report.calls, report.settled) > 5, "something was done"
    assert report.remembered > 0


def test_every_scenario_says_what_it_is() -> None:
    assert all(one.words and one.seconds > 0 for one in SCENARIOS.values())
