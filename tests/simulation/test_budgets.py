"""Money under faults: owners of a router partition overlap while budgets are short (protocol section 7)."""

from __future__ import annotations

import logging

import pytest
from money_run import run_seed


@pytest.mark.parametrize("seed", range(12))
def test_money_holds(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    outcome = run_seed(seed)
    assert not outcome.violations, (
        f"{outcome.violations}\nreplay: python tests/simulation/simulate.py --run money --seed {seed} --history"
    )


def test_the_runs_meet_what_they_are_for() -> None:
    """Budgets that are exhausted or give money back, decisions that do not fit at their place, calls paid twice."""
    outcomes = [run_seed(seed) for seed in range(9)]
    assert sum(outcome.refused for outcome in outcomes) > 20
    assert sum(outcome.void for outcome in outcomes) > 20
    assert sum(outcome.gave for outcome in outcomes) > 0
    assert sum(outcome.twice for outcome in outcomes) > 0
