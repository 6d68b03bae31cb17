"""``aiosv3 topics`` on a real broker, and how retention reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aiosv3.app.commands.topics import _show, kept, row
from aiosv3.schemas.topics import Topics

_WEEK = 7 * 24 * 3600 * 1000


@pytest.mark.parametrize(
    ("topic", "config", "words"),
    [
        ("p.tasks.a", {"cleanup.policy": "delete", "retention.ms": str(_WEEK)}, "7 d"),
        ("p.deltas", {"cleanup.policy": "delete", "retention.ms": "600000"}, "10 min"),
        ("p.deltas", {"cleanup.policy": "delete", "retention.ms": "20"}, "20 ms"),
        ("p.journal.a", {"cleanup.policy": "delete", "retention.ms": "-1"}, "until its owner deletes"),
        ("p.tasks.a", {"cleanup.policy": "delete", "retention.ms": "-1"}, "for ever"),
        ("p.state.a", {"cleanup.policy": "compact", "retention.ms": "5"}, "newest of each key"),
        ("p.notes", {}, "unknown"),
    ],
)
def test_how_long_records_stay(topic: str, config: dict[str, str], words: str) -> None:
    assert kept(row(Topics("p."), topic, 1, 0, config)) == words


def test_a_mesh_without_topics_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    _show([])
    assert capsys.readouterr().out.startswith("There is no topic of this mesh yet")


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.xdist_group("app-desk")
def test_topics_are_listed_with_what_they_carry(desk: Any, aiosv3: Any) -> None:
    found = {one["topic"]: one for one in json.loads(aiosv3("topics", "--json", "-p", str(desk.file)).out)}
    tasks = found[f"{desk.prefix}tasks.desk"]
    assert set(tasks) == {
        "topic", "kind", "owner", "carries", "key", "partitions", "records", "bytes", "cleanup", "retention_ms", "time",
    }  # fmt: skip
    assert (tasks["kind"], tasks["owner"], tasks["partitions"]) == ("tasks", "desk", 2)
    assert (tasks["cleanup"], tasks["retention_ms"], tasks["time"]) == ("delete", _WEEK, "LogAppendTime")
    assert found[f"{desk.prefix}pools"]["records"] > 0
    assert {one["kind"] for one in found.values()} >= {"journal", "results", "prompts", "completions", "approvals"}
    said = aiosv3("topics", "-p", str(desk.file)).out
    assert f"{desk.prefix}journal.desk" in said
    assert "until its owner deletes" in said
