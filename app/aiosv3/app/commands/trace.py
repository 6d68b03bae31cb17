"""``aiosv3 trace``: what happened to a task, and what it cost."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from aiosv3.app.commands.console import console
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.reading import Reading
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.tracing import Drawing, Row, Wanted, build, collect
from aiosv3.app.workers import open_mesh
from aiosv3.streams.kafka import Overview


def trace(
    handle: Annotated[str, typer.Argument(help="A task handle, or a task id.")],
    records: Annotated[bool, typer.Option("--records", help="Say where each record lies, too.")] = False,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print what happened to a task: steps, routes and why, failed attempts, tokens, cost, times, child tasks.

    A handle finds a task faster than its id alone. JSON holds the tree and all records, decoded.
    """
    wanted = Wanted.parse(handle)
    rows = asyncio.run(_rows(settings_of(project), wanted))
    if not rows:
        raise SettingsError(f"nothing on the log belongs to task {wanted.task_id!r}")
    task = build(wanted.task_id, rows)
    if as_json:
        echo_json({**task.to_json(), "records": rows})
        return
    drawing = Drawing(rows[0]["timestamp"], time.time_ns() // 1_000_000, records=records)
    console().print(drawing.tree(task))


async def _rows(settings: Settings, wanted: Wanted) -> list[Row]:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        return await collect(Reading(mesh), Overview(mesh.connection), wanted)
