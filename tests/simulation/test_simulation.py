"""The production classes under a seed: protocol section 10, whatever is killed, cut off or paused."""

from __future__ import annotations

import logging

import pytest
import simulate
from shrinking import WHOLE, Cut
from simulate import run_seed

SEEDS = 24
"""A few here, each with its history; ``make simulate`` runs as many as are wanted, and CI thousands."""
_HISTORY_LINES = 120


@pytest.mark.parametrize("seed", range(SEEDS))
def test_invariants_hold(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    outcome = run_seed(seed)
    tail = "\n".join(outcome.history.splitlines()[-_HISTORY_LINES:])
    assert not outcome.violations, (
        f"{outcome.violations}\nreplay: python tests/simulation/simulate.py --seed {seed} --history\n{tail}"
    )


def test_what_fails_is_shrunk_to_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say that a kill breaks an invariant: one fault of that kind is left over, one task, and nothing else."""
    seed = next(seed for seed in range(1, 50) if {"kills", "rebalances"} <= {*simulate.faults_of(seed).kinds()})
    kinds = simulate.faults_of(seed).kinds()

    def run(_seed: int, cut: Cut = WHOLE) -> simulate.Outcome:
        struck = {kind for number, kind in enumerate(kinds) if number not in cut.faults}
        broken = "kills" in struck and 3 not in cut.tasks
        return simulate.Outcome(seed, 0, [("lost", "T3")] if broken else [], "")

    monkeypatch.setattr(simulate, "run_seed", run)
    cut = simulate.shrunk(run(seed))
    left = [kind for number, kind in enumerate(kinds) if number not in cut.faults]
    assert (left, cut.extras, cut.noise) == (["kills"], True, True)
    assert {*range(simulate.TASKS)} - cut.tasks == {3}
    assert simulate.replay(seed, cut).endswith("--without-extras --without-noise --history")


def test_a_cut_seed_runs_without_what_was_cut() -> None:
    cut = Cut(frozenset(range(40)), frozenset({0, 2, 4, 5}), extras=True, noise=True)
    outcome = run_seed(7, cut)
    assert not outcome.violations
    assert " killed " not in outcome.history


@pytest.mark.parametrize("name", sorted(simulate.RUNS))
def test_every_run_can_be_cut(name: str) -> None:
    """One task is left, and nothing happens to it."""
    run = simulate.module_of(name)
    faults = run.faults_of(3).kinds()
    cut = Cut(frozenset(range(len(faults))), frozenset(range(1, run.TASKS)), extras=True, noise=True)
    outcome = run.run_seed(3, cut)
    assert outcome.violations == []
    assert " killed " not in outcome.history
    assert len(outcome.history) < len(run.run_seed(3).history)
