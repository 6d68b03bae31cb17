"""The example knows its customers across conversations, also when its workers die after any record."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from aiosv3.agents.remembering import Candidate, Candidates
from aiosv3.agents.testing import MeshTest, Prompt
from aiosv3.app.settings import load_settings

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "memory"
CATS = "Ada owns two cats."


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("memory_example", EXAMPLE / "desk.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def answer(prompt: Prompt) -> str:
    if "keep the summary" in (prompt.system or ""):
        return "Ada wrote often."
    return "You own cats." if CATS in (prompt.system or "") else "Hello."


def mesh_of(example: Any) -> MeshTest:
    mesh = MeshTest(example.desk, example.keeper, example.eraser)
    mesh.team("support", example.desk, example.keeper)
    mesh.model(
        lambda prompt: Candidates(
            notes=[Candidate(text=CATS, kind="fact", turn=1)] if "two cats" in prompt.text else []
        ),
        output_type=Candidates,
    )
    mesh.model(answer)
    return mesh


def letter(example: Any, text: str, conversation: str = "call-1") -> Any:
    return example.Letter(customer="17", conversation=conversation, text=text)


def test_what_is_said_in_one_conversation_is_known_in_another(example: Any) -> None:
    mesh = mesh_of(example)
    mesh.crash = "everywhere"
    first = mesh.run(example.desk, letter(example, "I own two cats."))
    mesh.crash = None
    assert (first.text, first.citations) == ("Hello.", [])
    second = mesh.run(example.desk, letter(example, "How many cats are mine?", "call-2"))
    assert second.text == "You own cats."
    (fact,) = [one for one in mesh.memories() if one.kind == "fact"]
    assert (second.citations, fact.source, fact.position) == ([fact.citation], "call-1", 0)


def test_a_long_conversation_is_summarized_beside_it(example: Any) -> None:
    mesh = mesh_of(example)
    for number in range(8):
        mesh.run(example.desk, letter(example, f"question {number}"))
    (summary,) = [one for one in mesh.memories() if one.kind == "summary" and one.trust]
    assert summary.text.endswith("\n\nAda wrote often.")


def test_a_customer_is_forgotten(example: Any) -> None:
    mesh = mesh_of(example)
    mesh.run(example.desk, letter(example, "I own two cats."))
    assert "stores" in mesh.run(example.eraser, "17")
    assert mesh.memories() == []


def test_the_project_lets_both_share_the_scope() -> None:
    settings = load_settings(EXAMPLE)
    assert settings.agents == ["desk:desk", "desk:keeper", "desk:eraser"]
    assert settings.memory.on
    assert set(settings.memory.teams["support"]) == {"desk", "keeper"}
