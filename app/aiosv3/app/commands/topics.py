"""``aiosv3 topics``: what is on the broker, and what it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.table import Table

from aiosv3.app.commands.console import console
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.settings import Settings
from aiosv3.app.topickinds import kind_of
from aiosv3.app.workers import connect
from aiosv3.schemas.topics import Topics
from aiosv3.streams.kafka import Overview

_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def topics(project: Project = None, as_json: Json = False) -> None:
    """List the topics of the mesh: what they carry, partitions, records, cleanup, retention.

    Records of a compacted topic are counted with those that compaction has taken.
    """
    settings = settings_of(project)
    found = asyncio.run(_topics(settings))
    if as_json:
        echo_json(found)
    else:
        _show(found)


async def _topics(settings: Settings) -> list[dict[str, Any]]:
    overview = Overview(connect(settings, "aiosv3-cli"))
    names = Topics(settings.kafka.prefix)
    counts = await overview.topics(names.prefix)
    bounds, configs = await asyncio.gather(overview.bounds(counts), overview.configs(counts))
    records = dict.fromkeys(counts, 0)
    for (topic, _), held in bounds.items():
        records[topic] += held.end - held.start
    return [row(names, name, count, records[name], configs[name]) for name, count in counts.items()]


def row(topics: Topics, name: str, partitions: int, records: int, config: Mapping[str, str]) -> dict[str, Any]:
    """One topic; stable names. Kafka's client library cannot ask for bytes, so they are null."""
    kind = kind_of(topics, name)
    retention = config.get("retention.ms", "")
    compacted = "compact" in config.get("cleanup.policy", "")
    return {
        "topic": name,
        "kind": None if kind is None else kind.name,
        "owner": None if kind is None else kind.owner,
        "carries": None if kind is None else kind.carries,
        "key": None if kind is None else kind.key,
        "partitions": partitions,
        "records": records,
        "bytes": None,
        "cleanup": config.get("cleanup.policy"),
        "retention_ms": int(retention) if retention.lstrip("-").isdigit() and not compacted else None,
        "time": config.get("message.timestamp.type"),
    }


def _show(found: Sequence[dict[str, Any]]) -> None:
    if not found:
        console().print("There is no topic of this mesh yet: workers make them when they start.")
        return
    table = Table()
    for column in ("topic", "carries", "partitions", "records", "kept"):
        table.add_column(column, overflow="fold", justify="right" if column in {"partitions", "records"} else "left")
    for one in found:
        numbers = (str(one["partitions"]), str(one["records"]))
        table.add_row(one["topic"], one["carries"] or "nothing of ours", *numbers, kept(one))
    console().print(table)


def kept(one: Mapping[str, Any]) -> str:
    """How long records stay, in words."""
    if "compact" in (one["cleanup"] or ""):
        return "newest of each key"
    retention = one["retention_ms"]
    if retention is None:
        return one["cleanup"] or "unknown"
    if retention < 0:
        return "until its owner deletes" if one["kind"] == "journal" else "for ever"
    size, unit = next((pair for pair in _UNITS if retention >= pair[0]), (1, "ms"))
    return f"{retention / size:g} {unit}"
