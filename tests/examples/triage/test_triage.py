"""The example does what its page says, also when its workers die after any record."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiosv3.agents import Denied
from aiosv3.agents.testing import MeshTest
from aiosv3.app.projects import load_agents
from aiosv3.app.settings import Settings, load_settings
from aiosv3.app.stubs import module_of
from aiosv3.app.tooling import open_zone

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "triage"
TICKET = {"id": "T-1", "customer": "Ada", "text": "I was charged twice, 120 USD each"}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield load_settings(EXAMPLE)
    for name in ("triage", "helpdesk"):
        sys.modules.pop(name, None)


class Case:
    """The two agents, and a helpdesk that remembers by idempotency of its update."""

    def __init__(self, settings: Settings, **verdict: Any) -> None:
        self.triage, self.research = (load_agents(settings)[name] for name in ("triage", "research"))
        import helpdesk

        self.mesh = MeshTest(self.triage, self.research, crash="everywhere")
        self.model = self.mesh.model(verdict, agent="triage")
        self.tool = self.mesh.tool(helpdesk.update, lambda ticket, label: {"id": ticket, "label": label})

    def run(self) -> Any:
        return self.mesh.run(self.triage, self.triage.input_type(**TICKET))


def test_a_dear_refund_is_approved_by_finance(settings: Settings) -> None:
    case = Case(settings, label="refund", refund_usd=120)
    (finance,) = case.mesh.people(finance="approve")
    done = case.run()
    assert (done.label, done.refund_usd, done.approved_by) == ("refund", 120, "finance")
    assert [question.content for question in finance.asked] == ["Refund 120.00 USD to Ada?"]
    assert "charged twice gets the second amount back" in str(case.model.asked[0])
    assert (case.model.calls, case.tool.calls) == (1, 1)


def test_a_no_ends_it_and_nothing_is_written(settings: Settings) -> None:
    case = Case(settings, label="refund", refund_usd=120)
    case.mesh.people(finance="deny: it was once")
    with pytest.raises(Denied, match="it was once"):
        case.run()
    assert case.tool.calls == 0


def test_a_question_asks_nobody(settings: Settings) -> None:
    case = Case(settings, label="question")
    assert case.run().model_dump() == {"id": "T-1", "label": "question", "refund_usd": 0, "approved_by": None}


async def test_the_stub_is_that_of_the_server(settings: Settings) -> None:
    servers = open_zone(settings, "office")
    try:
        written = (EXAMPLE / "helpdesk.py").read_text(encoding="utf-8")
        assert module_of("office", "helpdesk", await servers["helpdesk"].tools()) == written
        found = await servers["helpdesk"].call("update", {"ticket": "T-1", "label": "refund"}, "t/1")
        assert found.value == {"id": "T-1", "label": "refund"}
    finally:
        for server in servers.values():
            await server.aclose()
