"""What a project's workers register, and how it compares with what is released."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from aiosv3.agents import Context, agent
from aiosv3.app.settings import Settings
from aiosv3.app.subjects import Fault, Status, Subject, compared, locked_versions, project_subjects
from aiosv3.app.toolsettings import ToolZoneSettings
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.store import SchemaStore


class Note(BaseModel):
    text: str = ""


@agent(state=Note, order="serial")
async def desk(ctx: Context[Note], note: Note) -> Note:
    """Keeps a note."""
    return note


def subjects(**settings: Any) -> dict[str, Subject]:
    return {one.name: one for one in project_subjects(Settings(**settings), [desk])}


def test_a_project_has_the_subjects_of_its_agents_pools_zones_and_of_the_mesh() -> None:
    found = subjects(pools={"small": {"kind": "local"}}, tools={"inside": ToolZoneSettings()})
    assert [name for name, one in found.items() if one.agent == "desk"] == [
        "aios.tasks.desk-value",
        "aios.results.desk-value",
        "aios.state.desk-value",
    ]
    for name in (
        "journal.desk",
        "prompts",
        "decisions",
        "prompts.small",
        "completions.small",
        "tools.inside",
        "agents",
    ):
        assert f"aios.{name}-value" in found
    assert "aios.approvals-aiosv3.Question" in found


async def test_it_is_what_an_agents_worker_registers(tmp_path: Path) -> None:
    store = SchemaStore(tmp_path / "lock.json")
    await AgentSchemas("desk", Note, Note, state_type=Note).register(store)
    registered = locked_versions(tmp_path / "lock.json")
    ours = subjects()
    assert {name: versions[-1] for name, versions in registered.items()} == {
        name: ours[name].schema for name in registered
    }
    assert len(registered) == 3


def record(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "Note", "fields": list(fields)}


TEXT = {"name": "text", "type": "string"}
SIZE = {"name": "size", "type": "int"}
OPTIONAL = {"name": "size", "type": ["null", "int"], "default": None}


@pytest.mark.parametrize(
    ("schema", "locked", "registered", "status"),
    [
        (record(TEXT), [], None, Status.NEW),
        (record(TEXT), [], [], Status.NEW),
        (record(TEXT), [record(TEXT)], None, Status.SAME),
        (record(TEXT), [], [(1, record(TEXT)), (2, record(TEXT, OPTIONAL))], Status.SAME),
        (record(TEXT, OPTIONAL), [record(TEXT)], [(1, record(TEXT))], Status.CHANGED),
    ],
)
def test_what_can_be_read(schema: Any, locked: Any, registered: Any, status: Status) -> None:
    found = compared(Subject("s", schema), locked, registered)
    assert (found.status, found.faults) == (status, ())


def test_every_version_is_compared_and_each_fault_named_once() -> None:
    locked, registered = [record(TEXT)], [(1, record(TEXT)), (3, record({"name": "text", "type": "int"}))]
    found = compared(Subject("s", record(TEXT, SIZE)), locked, registered)
    assert found.status is Status.BROKEN
    assert found.versions == 2
    assert [(fault.against, fault.field) for fault in found.faults] == [
        ("lock file version 1", "size"),
        ("registry version 3", "text"),
        ("registry version 3", "size"),
    ]
    assert found.faults[0] == Fault("lock file version 1", "size", "a field without default was added")


def test_no_lock_file_is_no_version(tmp_path: Path) -> None:
    assert locked_versions(tmp_path / "none.json") == {}
    (tmp_path / "lock.json").write_text(json.dumps({"v": 1, "subjects": {"s": [{"id": 1, "schema": "int"}]}}), "utf-8")
    found = locked_versions(tmp_path / "lock.json")
    assert (list(found), len(found["s"])) == (["s"], 1)
