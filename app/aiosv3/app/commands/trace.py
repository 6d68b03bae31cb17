"""``aiosv3 tail`` and ``trace``: the topics as people read them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.reading import Reading
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import Mesh, open_mesh
from aiosv3.schemas.headers import CE_ID, CE_TYPE
from aiosv3.schemas.records import base_request_id
from aiosv3.schemas.topics import BadName, TaskHandle
from aiosv3.streams.log import Record

_POLL_S: Final = 0.2
_SHOWN: Final = 160


def tail(
    topics: Annotated[list[str], typer.Argument(help="Topics, with or without the prefix.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Last records of each partition.")] = 20,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print the newest records of topics, decoded."""
    try:
        asyncio.run(_tail(settings_of(project), topics, follow=follow, limit=limit, as_json=as_json))
    except KeyboardInterrupt:
        if not follow:
            raise


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
    task_id = _task_id(handle)
    settings = settings_of(project)
    rows = asyncio.run(_trace(settings, task_id))
    if not rows:
        raise SettingsError(f"nothing on the log belongs to task {task_id!r}")
    if as_json:
        echo_json(rows)
        return
    _draw(task_id, rows)


def _task_id(text: str) -> str:
    """Of a handle; ids may hold colons too, so what is no handle is an id."""
    try:
        return TaskHandle.parse(text).task_id
    except BadName:
        return text


async def _trace(settings: Settings, task_id: str) -> list[dict[str, Any]]:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        reading = Reading(mesh)
        rows: list[dict[str, Any]] = []
        for topic in await _traced(settings, reading):
            for partition in range(await reading.partitions(topic)):
                rows += [
                    _row(mesh, record, await reading.decoded(record))
                    async for record in reading.records(topic, partition)
                    if _belongs(record, task_id)
                ]
        return sorted(rows, key=lambda row: (row["timestamp"], _order(row["topic"]), row["topic"], row["offset"]))


async def _traced(settings: Settings, reading: Reading) -> list[str]:
    """What the mesh itself knows to exist, not only what this project holds: a tree may cross projects."""
    topics = reading.mesh.topics
    agents, pools = await reading.known()
    found = [topics.prompts(), topics.decisions(), topics.dead_letters()]
    for name in sorted(agents):
        found += [topics.tasks(name), topics.journal(name), topics.results(name)]
    for pool in sorted(pools | settings.pools.keys()):
        found += [topics.pool_prompts(pool), topics.completions(pool)]
    for zone in sorted(settings.tools):
        found += [topics.tools(zone), topics.tool_results(zone)]
    return found


def _order(topic: str) -> int:
    """Records of one millisecond, in the order in which they cause each other."""
    asked = ("tasks.", "prompts", "decisions", "prompts.", "completions.", "tools.", "tool-results.")
    kinds = (*asked, "journal.", "results.", "dead-letters")
    return max((place for place, kind in enumerate(kinds) if topic.startswith(kind)), default=len(kinds))


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
    tree = Tree(Text(f"task {task_id}, {rows[-1]['timestamp'] - began} ms"))
    branches: dict[str, Tree] = {}
    for row in rows:
        base = base_request_id(row["id"])
        branch = branches.get(base)
        if branch is None:
            branch = branches[base] = tree.add(Text(base)) if base != task_id else tree
        place = f"{row['topic']}[{row['partition']}]@{row['offset']}"
        # Text, not markup: an error message may hold brackets.
        branch.add(Text(f"+{row['timestamp'] - began:>5} ms  {place}  {_said(row)}"))
    Console().print(tree, highlight=False)


def _said(row: dict[str, Any]) -> str:
    value = row["value"]
    parts = [
        str(value[name]) for name in ("kind", "outcome", "pool", "model", "server", "tool", "reason") if value.get(name)
    ]
    if error := value.get("error"):
        parts.append(f"{error.get('type')}: {error.get('message')}")
    usage = value.get("usage") or {}
    if usage.get("model_calls"):
        cost = usage["cost_usd_micros"] / 1e6
        parts.append(f"{usage['input_tokens']}+{usage['output_tokens']} tokens, {cost:.6f} USD")
    return ", ".join(parts)[:_SHOWN]
