"""``aiosv3 tail`` and ``trace``: the topics as people read them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.tree import Tree

from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.projects import find_pools, load_agents
from aiosv3.app.reading import Reading
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import Mesh, open_mesh
from aiosv3.schemas.headers import CE_ID, CE_TYPE
from aiosv3.schemas.records import base_request_id
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.log import Record

_POLL_S: Final = 0.2
_SHOWN: Final = 160


def tail(
    topics: Annotated[list[str], typer.Argument(help="Topics, with or without the prefix.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Last records of each partition.")] = 20,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print the newest records of topics, decoded."""
    asyncio.run(_tail(settings_of(project), topics, follow=follow, limit=limit, as_json=as_json))


async def _tail(settings: Settings, wanted: list[str], *, follow: bool, limit: int, as_json: bool) -> None:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        reading = Reading(mesh)
        positions: dict[tuple[str, int], int] = {}
        for name in wanted:
            topic = await _topic(reading, mesh.topics.prefix, name)
            for partition in range(await reading.partitions(topic)):
                positions[topic, partition] = max(0, (await mesh.log.bounds(topic, partition)).end - limit)
        while True:
            found = [
                record
                for (topic, partition), at in positions.items()
                async for record in reading.records(topic, partition, at)
            ]
            for record in sorted(found, key=lambda r: (r.timestamp, r.topic, r.partition, r.offset)):
                positions[record.topic, record.partition] = record.offset + 1
                _print(record, await reading.decoded(record), as_json=as_json)
            if not follow:
                return
            await asyncio.sleep(_POLL_S)


async def _topic(reading: Reading, prefix: str, name: str) -> str:
    for candidate in (name, prefix + name):
        if await reading.exists(candidate):
            return candidate
    raise SettingsError(f"there is no topic {name!r} and no {prefix + name!r}")


def _print(record: Record, value: dict[str, Any], *, as_json: bool) -> None:
    record_id = (record.header(CE_ID) or b"").decode("utf-8", "replace")
    if as_json:
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        echo_json({**place, "timestamp": record.timestamp, "id": record_id, "value": value})
        return
    text = json.dumps(value, ensure_ascii=False, default=str)
    typer.echo(
        f"{_clock(record.timestamp)} {record.topic}[{record.partition}]@{record.offset} {record_id} {text[:_SHOWN]}"
    )


def _clock(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]


def trace(
    handle: Annotated[str, typer.Argument(help="A task handle, or a task id.")],
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print all that belongs to a task, in order: steps, routes and why, tokens, cost, times."""
    task_id = TaskHandle.parse(handle).task_id if handle.count(":") >= 2 else handle
    settings = settings_of(project)
    rows = asyncio.run(_trace(settings, task_id))
    if not rows:
        raise SettingsError(f"nothing on the log belongs to task {task_id!r}")
    if as_json:
        echo_json(rows)
        return
    _draw(task_id, rows)


async def _trace(settings: Settings, task_id: str) -> list[dict[str, Any]]:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        reading = Reading(mesh)
        rows: list[dict[str, Any]] = []
        for topic in _traced(settings, mesh):
            for partition in range(await reading.partitions(topic)):
                rows += [
                    _row(mesh, record, await reading.decoded(record))
                    async for record in reading.records(topic, partition)
                    if _belongs(record, task_id)
                ]
        return sorted(rows, key=lambda row: (row["timestamp"], row["topic"], row["offset"]))


def _traced(settings: Settings, mesh: Mesh) -> Iterable[str]:
    topics = mesh.topics
    for name in load_agents(settings):
        yield from (topics.tasks(name), topics.journal(name), topics.results(name))
    yield from (topics.prompts(), topics.decisions())
    for pool in find_pools(settings):
        yield from (topics.pool_prompts(pool), topics.completions(pool))


def _belongs(record: Record, task_id: str) -> bool:
    found = base_request_id((record.header(CE_ID) or b"").decode("utf-8", "replace"))
    return found == task_id or found.startswith(f"{task_id}/")


def _row(mesh: Mesh, record: Record, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "timestamp": record.timestamp,
        "topic": record.topic.removeprefix(mesh.topics.prefix),
        "partition": record.partition,
        "offset": record.offset,
        "id": (record.header(CE_ID) or b"").decode("utf-8", "replace"),
        "type": (record.header(CE_TYPE) or b"").decode("utf-8", "replace"),
        "value": value,
    }


def _draw(task_id: str, rows: list[dict[str, Any]]) -> None:
    began = rows[0]["timestamp"]
    tree = Tree(f"task {task_id}, {rows[-1]['timestamp'] - began} ms")
    branches: dict[str, Tree] = {}
    for row in rows:
        base = base_request_id(row["id"])
        branch = branches.get(base)
        if branch is None:
            branch = branches[base] = tree.add(base) if base != task_id else tree
        place = f"{row['topic']}[{row['partition']}]@{row['offset']}"
        branch.add(f"+{row['timestamp'] - began:>5} ms  {place}  {_said(row)}")
    Console().print(tree, highlight=False)


def _said(row: dict[str, Any]) -> str:
    value = row["value"]
    parts = [str(value[name]) for name in ("kind", "outcome", "pool", "model", "reason") if value.get(name)]
    if error := value.get("error"):
        parts.append(f"{error.get('type')}: {error.get('message')}")
    usage = value.get("usage") or {}
    if usage.get("model_calls"):
        cost = usage["cost_usd_micros"] / 1e6
        parts.append(f"{usage['input_tokens']}+{usage['output_tokens']} tokens, {cost:.6f} USD")
    return ", ".join(parts)[:_SHOWN]
