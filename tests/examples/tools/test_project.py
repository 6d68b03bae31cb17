"""The example with tools: its stubs are those of its servers, and its agent does what its page says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiosv3.agents import ToolFailed
from aiosv3.agents.testing import MeshTest
from aiosv3.app.projects import load_agents
from aiosv3.app.settings import Settings, load_settings
from aiosv3.app.stubs import module_of
from aiosv3.app.tooling import open_zone

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "tools"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield load_settings(EXAMPLE)
    for name in ("desk", "tickets", "notes"):
        sys.modules.pop(name, None)


async def test_the_stubs_are_those_of_the_servers(settings: Settings) -> None:
    servers = open_zone(settings, "office")
    try:
        for name, server in servers.items():
            written = (EXAMPLE / f"{name}.py").read_text(encoding="utf-8")
            assert module_of("office", name, await server.tools()) == written
        found = await servers["tickets"].call("find", {"text": "charged"}, "t/1")
        assert found.value["result"][0]["id"] == "T-1"
    finally:
        for server in servers.values():
            await server.aclose()


def test_the_agent(settings: Settings) -> None:
    desk = load_agents(settings)["desk"]
    import notes
    import tickets

    ticket = {"id": "T-1", "text": "I was charged twice."}
    mesh = MeshTest(desk)
    mesh.tool(tickets.find, [{"result": []}, {"result": [ticket]}])
    mesh.tool(tickets.label, lambda ticket, label: {"id": ticket, "text": "I was charged twice.", "label": label})
    mesh.tool(notes.read, ToolFailed("gone"))
    mesh.tool(notes.write, lambda path, text: {"bytes": len(path + text)})
    assert mesh.run(desk, "nothing") == "nobody wrote 'nothing'"
    assert mesh.run(desk, "charged") == "T-1 is about billing"
