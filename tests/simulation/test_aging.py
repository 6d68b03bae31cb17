"""A mesh that rests for longer than its logs are kept: what is left of them is enough to go on."""

from __future__ import annotations

import logging

import pytest
import simulate
from aging import MORE
from history_checker import Checker
from programs import AGENTS
from simulate import TASKS, aged, run_seed

SEEDS = [seed for seed in range(200) if aged(seed)][:4]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mesh_that_rested_goes_on(
    seed: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Own logs have lost records, and compacted topics too; tasks that come later have results."""
    caplog.set_level(logging.CRITICAL)
    meshes = []
    check = Checker.check

    def noted(checker: Checker) -> list[tuple[str, str]]:
        meshes.append(checker.mesh)
        return check(checker)

    monkeypatch.setattr(Checker, "check", noted)
    outcome = run_seed(seed)
    assert not outcome.violations, outcome.violations
    (mesh,) = meshes
    broker, topics = mesh.sim.broker, mesh.topics
    assert len(mesh.plan) == TASKS + MORE
    results = [
        broker.partition(name, n) for name in map(topics.results, AGENTS) for n in range(broker.partitions(name))
    ]
    assert any(partition.start > 0 for partition in results), "results were deleted"
    states = [broker.partition(topics.ledger(), n) for n in range(broker.partitions(topics.ledger()))]
    left = [records for one in states for records in one.take(0, one.end, one.end)[0]]
    assert len(left) < len(broker.records(topics.ledger())), "and older states compacted"


def test_what_rests_is_not_what_loses_its_logs_all_along() -> None:
    assert not any(aged(seed) and simulate.cleaned(seed) for seed in range(500))
