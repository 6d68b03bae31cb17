"""What an agent's entry says; on a real broker: tests/app/commands/test_agents.py."""

from __future__ import annotations

from typing import Any

from aiosv3.app.backlog import Backlog
from aiosv3.app.roster import Entry
from aiosv3.schemas.topics import Topics
from aiosv3.streams.kafka import Group, GroupMember


def card(version: str, updated: int, **changed: Any) -> dict[str, Any]:
    return {
        "agent": "desk", "version": version, "task_topic": "p.tasks.desk", "result_topic": "p.results.desk",
        "journal_topic": "p.journal.desk", "partitions": 2, "input_schema": '{"type": "object"}',
        "output_schema": "no json", "clearance": "public", "model": None, "pool": None, "budget_usd_micros": 500_000,
        "description": "Answers.", "updated": updated, **changed,
    }  # fmt: skip


def test_an_entry_tells_who_lives_what_waits_and_which_versions_there_are() -> None:
    group = Group("stable", "consumer", (GroupMember("c", "h", (("p.tasks.desk", 0), ("p.tasks.desk", 1))),))
    cards = (card("v2", 2_000), card("v1", 1_000, budget_usd_micros=None))
    found = Entry("desk", cards, Backlog(group, 3)).to_json(Topics("p."))
    assert (found["agent"], found["alive"], found["unfinished"], found["partitions"]) == ("desk", True, 3, 2)
    assert found["topics"] == {"task": "p.tasks.desk", "journal": "p.journal.desk", "result": "p.results.desk"}
    assert found["group"] == {"name": "p.agent.desk", "state": "stable", "protocol": "consumer"}
    assert found["members"] == [{"client": "c", "host": "h", "partitions": [0, 1]}]
    versions = [(one["version"], one["started_at"], one["budget_usd"]) for one in found["versions"]]
    assert versions == [("v2", "1970-01-01T00:00:02+00:00", 0.5), ("v1", "1970-01-01T00:00:01+00:00", None)]
    assert (found["input_schema"], found["output_schema"]) == ({"type": "object"}, "no json")


def test_an_agent_without_members_does_not_live() -> None:
    found = Entry("desk", (card("v", 0),), Backlog(Group("dead", "classic", ()), 0)).to_json(Topics("p."))
    assert (found["alive"], found["members"]) == (False, [])
