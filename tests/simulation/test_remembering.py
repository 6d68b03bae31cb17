"""Memory under a seed: one answer, one memory, the same in every view; and what was forgotten does not come back."""

from __future__ import annotations

import logging

import pytest
from memory_run import run_seed

_HISTORY_LINES = 80


@pytest.mark.parametrize("seed", range(10))
def test_memory_holds(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    outcome = run_seed(seed)
    tail = "\n".join(outcome.history.splitlines()[-_HISTORY_LINES:])
    assert not outcome.violations, f"seed {seed}: {outcome.violations}\n{tail}"
