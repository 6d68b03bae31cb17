"""``exactly_once`` under a seed: all that holds without it, with holes in the own logs and owners that are fenced."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import simulate
import simulated_mesh
from programs import AGENTS
from simulate import run_seed

from aiosv3.agents.agent import Guarantee

SEEDS = [seed for seed in range(1, 200) if simulate.rough(seed)][:8]
"""Those in which owners overlap all the time."""


@pytest.mark.parametrize("seed", SEEDS)
def test_invariants_hold_with_transactions(
    seed: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    once = {name: replace(agent, guarantee=Guarantee.EXACTLY_ONCE) for name, agent in AGENTS.items()}
    monkeypatch.setattr(simulated_mesh, "AGENTS", once)
    outcome = run_seed(seed)
    assert not outcome.violations, outcome.violations
