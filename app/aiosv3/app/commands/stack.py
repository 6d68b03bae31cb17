"""``aiosv3 up``, ``down``, ``status``: the local stack and the project's own processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from aiosv3.app.commands.options import Json, Project, echo_json
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.localstack.stack import Stack
from aiosv3.app.localstack.status import StackStatus
from aiosv3.app.projects import find_pools, load_agents
from aiosv3.app.settings import Settings, find_project, load_settings

_CONSOLE: Final = Console(stderr=True)
_WORKER_STAGE: Final = 2
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Return when all is ready; 'aiosv3 down' stops it.")]


def up(project: Project = None, detach: Detach = False, as_json: Json = False) -> None:
    """Start Kafka, a schema registry, the router, the pools and the project's agents on this machine."""
    settings = load_settings(project)
    stack = Stack(settings.state_folder)
    if not as_json:
        _CONSOLE.print("Starting the local stack (the first time it fetches Kafka, about 100 MB)…")
    specs = process_specs(settings, project or find_project(Path.cwd()))
    status = stack.up(specs, detach=detach, on_ready=lambda ready: _show(ready, as_json=as_json))
    if detach:
        _show(status, as_json=as_json)


def down(project: Project = None, as_json: Json = False) -> None:
    """Stop what 'aiosv3 up' started; data stays in the state folder."""
    stopped = Stack(load_settings(project).state_folder).down()
    if as_json:
        echo_json({"stopped": stopped})
    else:
        _CONSOLE.print("Stopped." if stopped else "Nothing was running.")


def status(project: Project = None, as_json: Json = False) -> None:
    """Say what is running. Exit code 3 if the stack is down."""
    found = Stack(load_settings(project).state_folder).status()
    if found is None or not found.is_up:
        if as_json:
            echo_json({"phase": "stopped", "bootstrap": None, "registry": None, "processes": []})
        else:
            _CONSOLE.print("The stack is down: 'aiosv3 up' starts it.")
        raise typer.Exit(3)
    _show(found, as_json=as_json)


def process_specs(settings: Settings, project: Path | None) -> list[ProcessSpec]:
    """The project's own processes: routers, model workers, agent workers, as many of each as ``[up]`` says."""
    base = (sys.executable, "-m", "aiosv3.app", "worker")
    tail = ("--project", str(project.resolve())) if project is not None else ()
    logs = settings.state_folder / "logs"
    wanted: list[tuple[str, tuple[str, ...], int]] = [("router", ("router",), settings.up.routers)]
    wanted += [(f"pool-{name}", ("pool", name), settings.up.models) for name in find_pools(settings)]
    wanted += [(f"agent-{name}", ("agent", name), settings.up.agents) for name in load_agents(settings)]
    return [
        ProcessSpec(
            name=f"{name}-{number}",
            argv=(*base, *arguments, *tail),
            log_path=logs / f"{name}-{number}.log",
            stage=_WORKER_STAGE,
        )
        for name, arguments, count in wanted
        for number in range(1, count + 1)
    ]


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
            }
            for one in found.processes
        ],
    }


def _show(found: StackStatus, *, as_json: bool) -> None:
    if as_json:
        echo_json(summary(found))
        return
    table = Table(title=f"Kafka {found.addresses.get('kafka')}   registry {found.addresses.get('registry')}")
    for column in ("process", "pid", "state", "restarts", "log"):
        table.add_column(column)
    for one in found.processes:
        table.add_row(one.name, str(one.pid or ""), str(one.state), str(one.restarts), one.log)
    Console().print(table)
