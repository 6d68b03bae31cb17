"""Two weeks in virtual time: they pass, or a word ends them, also when the worker dies after any record."""

from __future__ import annotations

import importlib.util
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aiosv3.agents.testing import MeshTest
from aiosv3.app.settings import load_settings

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "trial"


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("trial_example", EXAMPLE / "trial.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def kinds(over: Any) -> list[str]:
    return [letter.split()[0] for letter in over.letters]


def test_two_weeks_pass(example: Any) -> None:
    mesh = MeshTest(example.trial, crash="everywhere")
    began = mesh.now
    over = mesh.run(example.trial, example.Trial(customer="Ada"))
    assert (over.ended, kinds(over)) == ("expired", ["welcome", "reminder", "goodbye"])
    assert mesh.now - began == timedelta(days=14)
    assert over.letters[1] == "reminder to Ada (trial-1/=letter-reminder)"


@pytest.mark.parametrize(("days", "letters"), [(3, ["welcome", "bought"]), (13.5, ["welcome", "reminder", "bought"])])
def test_a_word_ends_it(example: Any, days: float, letters: list[str]) -> None:
    mesh = MeshTest(example.trial, crash="everywhere")
    task = mesh.start(example.trial, example.Trial(customer="Ada"))
    mesh.advance(timedelta(days=days))
    task.tell("word", {"wants": "buy"})
    over = task.result()
    assert (over.ended, kinds(over)) == ("bought", letters)


def test_the_project_keeps_schedules_too() -> None:
    settings = load_settings(EXAMPLE)
    assert settings.agents == ["trial:trial", "aiosv3.app.schedules:schedule"]
    assert settings.agent["trial"].park_after == 60
