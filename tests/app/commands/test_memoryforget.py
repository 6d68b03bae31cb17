"""What ``aiosv3 memory forget`` refuses and prints; whole runs of it: test_memory.py and tests/process."""

from __future__ import annotations

from typing import Any

import pytest

from aiosv3.app.commands.memoryforget import _readable, forget
from aiosv3.app.settings import SettingsError


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({}, "name either a memory"),
        ({"subject": "ada", "task": "t"}, "name either a memory"),
        ({"memory_id": "m", "delete_tasks": True}, "--delete-tasks needs a --subject"),
    ],
)
def test_what_there_cannot_be_is_refused(named: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        forget(**named)


def test_a_receipt_for_people() -> None:
    store = {"store": "tasks.desk", "kind": "tasks", "how": "retention", "by": 1_750_000_000_000, "why": "plain"}
    gone = {
        "topic": "tasks.desk",
        "partition": 1,
        "about": 2,
        "others": 3,
        "left": 1,
        "why": "no result",
        "again": None,
    }
    told = {"subject": "5d", "id": None, "shredded": ["k"], "stores": [store], "tasks": [gone], "left_after_replay": []}
    lines = _readable(told)
    assert lines[0] == "subject 5d is forgotten; 1 keys are shredded"
    assert "tasks.desk: retention by 2025-06-15T15:06:40Z (plain)" in lines
    assert "tasks.desk[1]: 2 inputs about it are deleted, and 3 in front of them; 1 are left: no result" in lines
    assert lines[-1] == "A read of the whole log finds nothing of it."
    assert _readable({**told, "left_after_replay": ["m"]})[-1] == "STILL THERE after a read of the whole log: m"
    undone = _readable({"task": "t", "forgotten": ["m"], "left_after_replay": []})
    assert undone[0] == "1 memories that task t had remembered are forgotten"
