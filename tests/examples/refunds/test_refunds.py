"""The example does what its page says, also when its worker dies after any record."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from aiosv3.agents import ModelTurn, ToolCall
from aiosv3.agents.testing import MeshTest

SOURCE = Path(__file__).resolve().parents[3] / "examples" / "refunds" / "refunds.py"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("refunds_example", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def turn(name: str, **arguments: Any) -> ModelTurn:
    return ModelTurn("", (ToolCall(name, name, json.dumps(arguments)),))


FOUND = turn("find_order", order="o-17")
PAYS = turn("refund", order="o-17", usd=120)
YES = turn("final_answer", order="o-17", refunded_usd=120, answer="You get your money back.")
NO = turn("final_answer", order="o-17", refunded_usd=0, answer="We cannot pay.")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = load()
    monkeypatch.setattr(module, "PAID", {})
    return module


def test_money_moves_when_finance_says_yes(example: Any) -> None:
    mesh = MeshTest(example.refunds, example.translator, crash="everywhere")
    asked = mesh.model([FOUND, PAYS, YES], agent=example.refunds)
    (people,) = mesh.people(finance="approve")
    settled = mesh.run(example.refunds, example.Complaint(text="o-17 never came"))
    assert (settled.order, settled.refunded_usd) == ("o-17", 120)
    assert [question.content for question in people.asked] == ['refund {"order":"o-17","usd":120.0}']
    assert asked.calls == 3
    # It may be executed again where the worker died before its record; the key is the same, and so is the payment.
    assert list(example.PAID.values()) == [120]


def test_no_money_moves_when_finance_says_no(example: Any) -> None:
    mesh = MeshTest(example.refunds, example.translator, crash="everywhere")
    mesh.model([FOUND, PAYS, NO], agent=example.refunds)
    mesh.people(finance="deny: it was delivered")
    assert mesh.run(example.refunds, example.Complaint(text="o-17 never came")).refunded_usd == 0
    assert example.PAID == {}


def test_other_agents_are_tools_too(example: Any) -> None:
    mesh = MeshTest(example.refunds, example.translator)
    mesh.model("o-17 never came", agent=example.translator)
    mesh.model([turn("translator", value="o-17 kam nie an"), FOUND, NO], agent=example.refunds)
    assert mesh.run(example.refunds, example.Complaint(text="o-17 kam nie an")).order == "o-17"
