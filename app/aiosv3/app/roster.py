"""The agents of a mesh: what their cards say, and who lives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiosv3.app.backlog import Backlog, backlogs, group_of
from aiosv3.app.reading import Reading
from aiosv3.schemas.topics import Topics
from aiosv3.streams.kafka import Overview


@dataclass(frozen=True, slots=True)
class Entry:
    """One agent. ``cards``: one a version, newest first, as plain data."""

    name: str
    cards: tuple[dict[str, Any], ...]
    backlog: Backlog

    def to_json(self, topics: Topics) -> dict[str, Any]:
        """Stable names."""
        newest = self.cards[0]
        group = self.backlog.group
        return {
            "agent": self.name,
            "description": newest["description"],
            "alive": bool(group.members),
            "unfinished": self.backlog.unfinished,
            "partitions": newest["partitions"],
            "topics": {kind: newest[f"{kind}_topic"] for kind in ("task", "journal", "result")},
            "group": {"name": group_of(topics, self.name), "state": group.state, "protocol": group.protocol},
            "members": [
                {"client": one.client, "host": one.host, "partitions": [number for _, number in one.partitions]}
                for one in group.members
            ],
            "versions": [_version(card) for card in self.cards],
            "input_schema": _parsed(newest["input_schema"]),
            "output_schema": _parsed(newest["output_schema"]),
        }


def _version(card: dict[str, Any]) -> dict[str, Any]:
    budget = card["budget_usd_micros"]
    return {
        "version": card["version"],
        "started_at": moment(card["updated"]),
        "clearance": card["clearance"],
        "model": card["model"],
        "pool": card["pool"],
        "budget_usd": None if budget is None else budget / 1e6,
    }


def moment(milliseconds: int) -> str:
    """RFC 3339, in UTC, to the second."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def _parsed(schema: str) -> Any:
    try:
        return json.loads(schema)
    except ValueError:
        return schema


async def roster(reading: Reading, overview: Overview) -> list[Entry]:
    """All agents that have ever had a worker here, by name."""
    cards: dict[str, dict[str, Any]] = {}
    topic = reading.mesh.topics.agents()
    if topic in await overview.topics(topic):
        async for record in reading.records(topic, 0):
            key = (record.key or b"").decode("utf-8", "replace")
            card = await reading.decoded(record)
            if "task_topic" in card:
                cards[key] = card
            else:
                cards.pop(key, None)  # a tombstone, or what this release cannot read
    by_name: dict[str, list[dict[str, Any]]] = {}
    for card in sorted(cards.values(), key=lambda card: int(card["updated"]), reverse=True):
        by_name.setdefault(card["agent"], []).append(card)
    found = await backlogs(overview, reading.mesh.topics, by_name)
    return [Entry(name, tuple(by_name[name]), found[name]) for name in sorted(by_name)]
