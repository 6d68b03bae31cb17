"""``aiosv3 agents``: who can be given work, who lives, and how much waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from rich.table import Table

from aiosv3.app.commands.console import console
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.reading import Reading
from aiosv3.app.roster import Entry, moment, roster
from aiosv3.app.settings import Settings
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.topics import Topics
from aiosv3.streams.kafka import Overview

_OLDER: Final = 1


def agents(project: Project = None, as_json: Json = False) -> None:
    """List the agents of the mesh: workers, tasks that wait or are in work, versions. JSON holds their schemas too."""
    settings = settings_of(project)
    found = asyncio.run(_agents(settings))
    if as_json:
        topics = Topics(settings.kafka.prefix)
        echo_json([entry.to_json(topics) for entry in found])
    else:
        _show(found)


async def _agents(settings: Settings) -> list[Entry]:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        return await roster(Reading(mesh), Overview(mesh.connection))


def _show(found: Sequence[Entry]) -> None:
    if not found:
        console().print("No agent has had a worker here yet: 'aiosv3 up' starts those of a project.")
        return
    table = Table()
    for column in ("agent", "workers", "unfinished", "partitions", "version", "since", "what it does"):
        table.add_column(column, overflow="fold")
    for entry in found:
        newest = entry.cards[0]
        older = len(entry.cards) - _OLDER
        version = newest["version"] + (f" (+{older} older)" if older > 0 else "")
        workers, unfinished = str(len(entry.backlog.group.members)), str(entry.backlog.unfinished)
        cells = (entry.name, workers, unfinished, str(newest["partitions"]), version)
        table.add_row(*cells, moment(newest["updated"]), newest["description"].partition("\n")[0])
    console().print(table)
