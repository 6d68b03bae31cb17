"""Memory under a seed: one answer, one memory, the same in every view; and what was forgotten does not come back."""

from __future__ import annotations

import logging
import os

import pytest
from memory_run import run_memory

SEEDS = int(os.environ.get("AIOSV3_MEMORY_SEEDS", "30"))
_HISTORY_LINES = 80


@pytest.mark.parametrize("seed", range(SEEDS))
def test_memory_holds(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    wrong, history = run_memory(seed)
    tail = "\n".join(history.splitlines()[-_HISTORY_LINES:])
    assert not wrong, f"seed {seed}: {wrong}\n{tail}"


def test_a_seed_replays_exactly() -> None:
    assert run_memory(3)[1] == run_memory(3)[1]
