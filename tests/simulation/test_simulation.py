"""The production classes under a seed: protocol section 10, whatever is killed, cut off or paused."""

from __future__ import annotations

import logging
import os

import pytest
from simulate import run_seed

SEEDS = int(os.environ.get("AIOSV3_SEEDS", "200"))
_HISTORY_LINES = 120


@pytest.mark.parametrize("seed", range(SEEDS))
def test_invariants_hold(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    outcome = run_seed(seed)
    tail = "\n".join(outcome.history.splitlines()[-_HISTORY_LINES:])
    assert not outcome.violations, (
        f"{outcome.violations}\nreplay: python tests/simulation/simulate.py --seed {seed} --history\n{tail}"
    )


def test_a_seed_replays_exactly() -> None:
    assert run_seed(7).history == run_seed(7).history
