"""The same seed and the same code give the same run: twice here, and in a process that hashes otherwise."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import programs
import pytest
from shrinking import WHOLE, Cut
from simulate import RUNS, cleaned, faults_of, module_of, replay, run_seed, seeds_of

from aiosv3.agents import Context

HERE = Path(__file__).parent
SEEDS = {"mesh": (7, 8), "money": (3,), "memory": (4,), "sealed": (1,), "ahead": (2,)}
"""Of the mesh one with memory and one whose logs are cleaned."""
_AGAIN = (
    "import logging, sys; logging.disable(logging.CRITICAL); import simulate, test_replaying;"
    " print(*(test_replaying.told(run, int(seed)) for run, seed in zip(sys.argv[1::2], sys.argv[2::2])))"
)


def told(run: str, seed: int) -> str:
    """A hash over all that happened."""
    return hashlib.sha256(module_of(run).run_seed(seed).history.encode()).hexdigest()


def test_every_run_has_its_seeds() -> None:
    assert SEEDS.keys() == RUNS.keys()
    assert [cleaned(seed) for seed in SEEDS["mesh"]] == [False, True]


def test_a_seed_gives_the_same_history_here_and_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    wanted = [(run, seed) for run, seeds in SEEDS.items() for seed in seeds]
    command = [sys.executable, "-c", _AGAIN, *(str(word) for pair in wanted for word in pair)]
    elsewhere = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": "1"}
    )
    assert elsewhere.stdout.split() == [told(*pair) for pair in wanted]


@pytest.mark.parametrize(("text", "seeds"), [("10000", range(10_000)), ("17:40", range(17, 40))])
def test_seeds_are_a_number_or_a_range(text: str, seeds: range) -> None:
    assert seeds_of(text) == seeds


def test_what_is_printed_replays_what_failed() -> None:
    cut = Cut(frozenset({1}), frozenset({2}), noise=True)
    assert replay(5, cut) == (
        "python tests/simulation/simulate.py --seed 5 --without-faults 1 --without-tasks 2 --without-noise --history"
    )
    assert replay(5, WHOLE, "money") == "python tests/simulation/simulate.py --run money --seed 5 --history"


def test_every_fault_strikes_somewhere() -> None:
    kinds = Counter(kind for seed in range(200) for kind in faults_of(seed).kinds())
    names = {"kills", "pauses", "cuts", "expulsions", "rebalances", "jumps", "outages", "crashes"}
    assert kinds.keys() == names


def test_every_step_that_a_context_has_is_in_a_program() -> None:
    """What is not a step: facts, and what reads them."""
    facts = {"task_id", "key", "tenant", "usage", "state"}
    by_model = {name for name in dir(Context) if name in _BY_MODEL}
    text = Path(programs.__file__).read_text(encoding="utf-8")
    steps = {name for name in dir(Context) if not name.startswith("_")} - facts - by_model
    assert {name for name in steps if f"ctx.{name}(" not in text} == set()


_BY_MODEL = {"dialogue", "learn"}
"""Made of other steps."""


def test_cleaned_logs_lose_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Inputs and journals are deleted and what a group has committed is forgotten, in one seed or another."""
    caplog.set_level(logging.CRITICAL)
    outcomes = [run_seed(seed) for seed in (2, 8, 14, 32)]
    assert [outcome.violations for outcome in outcomes] == [[]] * 4
    history = "\n".join(outcome.history for outcome in outcomes)
    assert "truncate        aios.journal." in history
    assert "truncate        aios.tasks." in history
    assert " forgets " in history
