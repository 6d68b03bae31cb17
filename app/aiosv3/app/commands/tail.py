"""``aiosv3 tail``: records as they come, decoded, of some topics or of one tree of tasks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.following import Following
from aiosv3.app.lines import summary
from aiosv3.app.reading import Reading
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.topickinds import QUIET, kind_of
from aiosv3.app.tracing import Membership, Wanted, event_of, id_of, ranges
from aiosv3.app.workers import Mesh, open_mesh
from aiosv3.streams.kafka import Overview
from aiosv3.streams.log import Record

_NEWEST: Final = 20
_SHOWN: Final = 160
_STYLES: Final = {
    "tasks": "bold blue",
    "results": "bold green",
    "journal": "cyan",
    "prompts": "yellow",
    "decisions": "magenta",
    "completions": "green",
    "tools": "yellow",
    "tool-results": "green",
    "approvals": "bold magenta",
    "dead-letters": "bold red",
}


def tail(
    topics: Annotated[
        list[str] | None, typer.Argument(help="Topics, with or without the prefix (default: all that carry tasks).")
    ] = None,
    tree: Annotated[
        str | None, typer.Option("--tree", help="Only what belongs to the tree of this task: a handle, or an id.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=0, help="Newest records, over all topics (default: 20; of a tree all)."),
    ] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print the newest records of topics, decoded; with --tree, all records of a task and of what it has started.

    With --follow, topics that appear meanwhile are read too. JSON is one document a line.
    """
    newest = limit if limit is not None or tree is not None else _NEWEST
    try:
        asyncio.run(_tail(settings_of(project), topics or [], tree, newest, follow=follow, as_json=as_json))
    except KeyboardInterrupt:
        if not follow:
            raise


async def _tail(
    settings: Settings, names: list[str], tree: str | None, limit: int | None, *, follow: bool, as_json: bool
) -> None:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        reading, overview = Reading(mesh), Overview(mesh.connection)
        chosen = await _chosen(mesh, overview, names)

        async def topics() -> Mapping[str, int]:
            return _of(mesh, await overview.topics(), chosen)

        printer = _Printer(mesh, as_json=as_json)
        following = Following(reading, overview, topics, lambda _record: True)
        begin = None
        if tree is not None:
            wanted = Wanted.parse(tree)
            event = await event_of(reading, overview, wanted)
            following.wanted = Membership(wanted.task_id if event is None else event.root).holds
            if event is not None and event.root != wanted.task_id:
                event = await event_of(reading, overview, Wanted(event.root, None))
            begin = await ranges(reading, overview, await topics(), event)
        for record in await following.newest(limit, begin):
            await printer.show(reading, record)
        if follow:
            async for record in following.after():
                await printer.show(reading, record)


async def _chosen(mesh: Mesh, overview: Overview, names: list[str]) -> frozenset[str]:
    there = await overview.topics()
    found = set()
    for name in names:
        full = next((one for one in (name, mesh.topics.prefix + name) if one in there), None)
        if full is None:
            both = f"{name!r} and no {mesh.topics.prefix + name!r}"
            raise SettingsError(f"there is no topic {both}: 'aiosv3 topics' lists those of the mesh")
        found.add(full)
    return frozenset(found)


def _of(mesh: Mesh, there: Mapping[str, int], chosen: frozenset[str]) -> dict[str, int]:
    """The topics that were named; without any, those of the mesh that carry tasks."""
    if chosen:
        return {name: count for name, count in there.items() if name in chosen}
    kinds = {name: kind_of(mesh.topics, name) for name in there}
    return {name: there[name] for name, kind in kinds.items() if kind is not None and kind.name not in QUIET}


class _Printer:
    def __init__(self, mesh: Mesh, *, as_json: bool) -> None:
        self._topics = mesh.topics
        self._as_json = as_json
        self._console = Console(highlight=False, soft_wrap=True)

    async def show(self, reading: Reading, record: Record) -> None:
        """One record on one line, at once."""
        value = await reading.decoded(record)
        if self._as_json:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            echo_json({**place, "timestamp": record.timestamp, "id": id_of(record), "value": value})
        else:
            self._console.print(self.line(record, value))
        sys.stdout.flush()

    def line(self, record: Record, value: dict[str, Any]) -> Text:
        """Text, not markup: a record may hold brackets."""
        kind = kind_of(self._topics, record.topic)
        style = _STYLES.get(kind.name, "") if kind is not None else ""
        line = Text().append(f"{_clock(record.timestamp)} ", style="dim")
        line.append(f"{record.topic}[{record.partition}]@{record.offset}", style=style)
        return line.append(f" {id_of(record)} {summary(value)[:_SHOWN]}")


def _clock(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
