"""``aiosv3 agents`` on a real broker with a real worker."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from aiosv3.app.commands.agents import _show

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.xdist_group("app-desk")]


def listed(desk: Any, aiosv3: Any) -> dict[str, Any]:
    """The one agent, once its worker has published its card and has its partitions."""
    deadline = time.monotonic() + 60
    while True:
        found: list[dict[str, Any]] = json.loads(aiosv3("agents", "--json", "-p", str(desk.file)).out)
        if found and any(one["partitions"] for one in found[0]["members"]):
            assert len(found) == 1
            return found[0]
        assert time.monotonic() < deadline, desk.logs()
        threading.Event().wait(0.2)


def test_agents_are_listed_with_who_lives_and_their_schemas(desk: Any, aiosv3: Any) -> None:
    found = listed(desk, aiosv3)
    assert (found["agent"], found["description"], found["alive"]) == ("desk", "Answers letters.", True)
    # Other tests of this project start and end workers.
    assert (found["group"]["name"], found["group"]["protocol"]) == (f"{desk.prefix}agent.desk", "consumer")
    assert found["group"]["state"] in {"stable", "rebalancing"}
    assert {place for one in found["members"] for place in one["partitions"]} <= {0, 1}
    assert found["topics"]["task"] == f"{desk.prefix}tasks.desk"
    assert found["input_schema"]["properties"]["text"]["type"] == "string"
    assert found["versions"][0]["budget_usd"] == 0.5
    assert found["unfinished"] >= 0

    said = aiosv3("agents", "-p", str(desk.file))
    (line,) = [line for line in said.out.splitlines() if "desk" in line]
    agent, workers = (cell.strip() for cell in line.split("│")[1:3])
    assert (agent, int(workers) >= 1) == ("desk", True)
    assert "Answers letters." in line


def test_a_mesh_without_agents_says_so(idle: Any, aiosv3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(aiosv3("agents", "--json", "-p", str(idle.file)).out) == []
    _show([])
    assert capsys.readouterr().out.startswith("No agent has had a worker here yet")
