"""What ``up`` and ``status`` print about a stack: a table for people, one JSON document for programs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from aiosv3.app.localstack.status import ProcessState, StackStatus

_COLUMNS: Final = ("process", "pid", "state", "restarts", "up")
DOWN: Final[dict[str, Any]] = {"phase": "stopped", "bootstrap": None, "registry": None, "processes": []}
"""What ``--json`` prints about no stack."""


def summary(found: StackStatus) -> dict[str, Any]:
    """What ``--json`` prints; stable."""
    return {
        "phase": str(found.phase),
        "bootstrap": found.addresses.get("kafka"),
        "registry": found.addresses.get("registry"),
        "processes": [
            {
                "name": one.name,
                "pid": one.pid,
                "state": str(one.state),
                "restarts": one.restarts,
                "uptime_s": round(one.uptime_s(), 1),
                "log": one.log,
                "exit_code": one.exit_code,
                "reason": one.reason,
            }
            for one in found.processes
        ],
    }


def print_stack(found: StackStatus) -> None:
    """The processes, the addresses, and what is wrong with whom."""
    console = Console(highlight=False, soft_wrap=True)
    rows = [
        (one.name, str(one.pid or ""), str(one.state), str(one.restarts), f"{one.uptime_s():.0f} s")
        for one in found.processes
    ]
    _print_rows(console, rows)
    addresses = ", ".join(f"{part} {address}" for part, address in found.addresses.items())
    logs = f"; logs in {Path(found.processes[0].log).parent}" if found.processes else ""
    console.print(f"{found.phase}: {addresses}{logs}", markup=False)
    for line in troubles(found):
        console.print(line, markup=False)


def _print_rows(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    """A table with lines where there is room for it on a terminal; else columns, which also a script can cut."""
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    needed = sum(widths) + 3 * len(widths) + 1
    if console.is_terminal and console.width >= needed:
        table = Table(*_COLUMNS)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    for row in (_COLUMNS, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print("  ".join(cells).rstrip(), markup=False)


def troubles(found: StackStatus) -> list[str]:
    """A line for each process that does not run as it should: how it ended, why, what to do."""
    lines = []
    for one in found.processes:
        why = f": {one.reason}" if one.reason else ""
        if one.state is ProcessState.FAILED:
            lines.append(
                f"{one.name} has given up after {one.restarts} restarts{why}. See 'aiosv3 logs {one.name}'; 'aiosv3 "
                "down' and 'aiosv3 up' start it again."
            )
        elif one.state is ProcessState.BACKOFF:
            lines.append(f"{one.name} ended and is started again{why}. See 'aiosv3 logs {one.name}'.")
    return lines


def lost(found: StackStatus) -> str:
    """What is left where the supervisor was killed."""
    left = [one.name for one in found.processes if one.process is not None]
    alive = f"; {', '.join(left)} still run" if left else ""
    return (
        f"The stack has lost its supervisor{alive}: 'aiosv3 up' starts it again on the same data, 'aiosv3 down' stops "
        "what is left."
    )


def next_steps(agents: list[str], tail: tuple[str, ...]) -> list[str]:
    """What somebody can do with a stack in the background; ``tail`` are the options that name the project."""
    more = "".join(f" {shlex.quote(word)}" for word in tail)
    task = [f"aiosv3 task send {agents[0]} --json '{{…}}'{more}"] if agents else []
    verbs = [f"aiosv3 {verb}{more}" for verb in ("status", "logs -f", "down")]
    return [*task, *verbs]
