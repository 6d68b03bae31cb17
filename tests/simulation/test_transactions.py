"""``exactly_once`` under a seed: all that holds without it, and each result is committed once."""

from __future__ import annotations

import logging

import pytest
import simulate
from simulate import once, rough, run_seed

SEEDS = [seed for seed in range(1, 200) if rough(seed)][:8]
"""Those in which owners overlap all the time."""


@pytest.mark.parametrize("seed", SEEDS)
def test_invariants_hold_with_transactions(
    seed: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(simulate, "once", lambda _seed: True)
    outcome = run_seed(seed)
    assert not outcome.violations, outcome.violations


def test_a_share_of_all_seeds_is_so() -> None:
    """With every kind of other seed."""
    for kind in (simulate.rough, simulate.cleaned, simulate.remembers):
        assert any(kind(seed) and once(seed) for seed in range(500))
    assert 0.1 < sum(map(once, range(2_000))) / 2_000 < 0.2
