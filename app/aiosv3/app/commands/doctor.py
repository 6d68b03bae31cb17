"""``aiosv3 doctor``: what is wrong here, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Final

import typer
from rich.console import Console
from rich.text import Text

from aiosv3.app.addresses import located
from aiosv3.app.commands.options import Json, Project, echo_json
from aiosv3.app.doctor import CHECKS, Case, Examination, Level, examine
from aiosv3.app.settings import load_settings, project_file

_FAILED: Final = 4
_STYLES: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILED: "bold red"}


def doctor(project: Project = None, as_json: Json = False) -> None:
    """Check all that work depends on: broker, topics, registry, models, clock, disk. Exit code 4 if something failed.

    Ends within ten seconds, also where nothing answers. It writes one object to the claim store, the same each time,
    and two empty records to the topic deltas, which keeps them for minutes.
    """
    given = load_settings(project)
    case = Case(given, located(given), project_file(project))
    code = asyncio.run(_doctor(case, as_json=as_json))
    if code:
        raise typer.Exit(code)


async def _doctor(case: Case, *, as_json: bool) -> int:
    found = await examine(case, CHECKS)
    code = _FAILED if found.level is Level.FAILED else 0
    show(found, as_json=as_json)
    if found.overdue:
        # What hangs holds a thread, and the end of a loop and of a process wait for threads.
        sys.stdout.flush()
        os._exit(code)
    return code


def show(found: Examination, *, as_json: bool) -> None:
    """A line for each finding, what to do below it, and the counts."""
    counts = {str(level): found.count(level) for level in Level}
    if as_json:
        echo_json({"level": found.level, "counts": counts, "findings": [one.to_json() for one in found.findings]})
        return
    console = Console(highlight=False, soft_wrap=True)
    width = max(len(one.check) for one in found.findings)
    for one in found.findings:
        line = Text().append(f"{one.level:<8} ", style=_STYLES[one.level])
        console.print(line.append(f"{one.check:<{width}}  ", style="bold").append(one.message))
        if one.action is not None:
            console.print(Text(f"{'':{width + 9}}  → {one.action}", style="dim"))
    console.print(", ".join(f"{count} {level}" for level, count in counts.items()))
