"""The example fans out and in, also when its workers die after any record; a part that fails is named."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from aiosv3.agents import AgentFailed, ModelRefused
from aiosv3.agents.testing import MeshTest
from aiosv3.app.settings import load_settings

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "research"
PARTS = ["What is a tide?", "What is the moon?", "What is the sun?"]


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("research_example", EXAMPLE / "research.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def mesh_of(example: Any, parts: list[str], answer: Any, **settings: Any) -> MeshTest:
    mesh = MeshTest(example.research, example.look_up, **settings)
    mesh.model({"questions": parts}, agent="research", output_type=example.Plan)
    mesh.model("The moon does.", agent="research")
    mesh.model(answer, agent="look-up")
    return mesh


def test_parts_are_answered_and_put_together(example: Any) -> None:
    mesh = mesh_of(example, PARTS, lambda prompt: f"About: {prompt}", crash="everywhere")
    report = mesh.run(example.research, example.Question(text="How do tides work?"))
    assert [finding.question for finding in report.findings] == PARTS
    assert "What is the moon?" in report.findings[1].answer
    assert (report.summary, report.failed, mesh.calls) == ("The moon does.", [], 5)


def test_a_part_that_fails_is_named_and_the_others_count(example: Any) -> None:
    def answer(prompt: Any) -> str:
        if "sun" in str(prompt):
            raise ModelRefused("no")
        return "yes"

    report = mesh_of(example, PARTS, answer).run(example.research, example.Question(text="How?"))
    assert (len(report.findings), report.failed) == (2, ["What is the sun?"])


def test_no_answer_at_all_is_a_failure(example: Any) -> None:
    mesh = mesh_of(example, PARTS, ModelRefused("no"))
    with pytest.raises(AgentFailed, match="none of the 3 parts"):
        mesh.run(example.research, example.Question(text="How?"))


def test_two_hundred_parts_are_open_at_once(example: Any) -> None:
    parts = [f"Question {number}?" for number in range(300)]
    mesh = mesh_of(example, parts, "yes")
    report = mesh.run(example.research, example.Question(text="How?", parts=200))
    assert (len(report.findings), report.failed, mesh.calls) == (200, [], 202)


def test_the_project_names_its_agents() -> None:
    assert load_settings(EXAMPLE).agents == ["research:research", "research:look_up"]
