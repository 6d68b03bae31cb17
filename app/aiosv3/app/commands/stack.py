"""``aiosv3 up``, ``down``, ``status``: the local stack and the project's own processes."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from aiosv3.app.commands.options import Json, Project, echo_json
from aiosv3.app.localstack.errors import LocalStackError, PortTaken
from aiosv3.app.localstack.ports import LOOPBACK, free_port
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.localstack.stack import Stack
from aiosv3.app.localstack.status import StackStatus
from aiosv3.app.projects import api_key, check_local_runtime, check_pins, find_pools, load_agents
from aiosv3.app.settings import PoolSettings, Settings, SettingsError, load_settings, project_file
from aiosv3.app.tooling import open_zone

_CONSOLE: Final = Console(stderr=True, soft_wrap=True, highlight=False)
_WORKER_STAGE: Final = 2
_INFRASTRUCTURE: Final = frozenset({"kafka", "registry"})
_READY_S: Final = 240.0
"""A worker may have to fetch the local model's file (93 MB) first."""
_STOP_S: Final = 20.0
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Return when all is ready; 'aiosv3 down' stops it.")]


def up(project: Project = None, detach: Detach = False, as_json: Json = False) -> None:
    """Start Kafka, a schema registry, the router, the pools and the project's agents on this machine.

    Returns, or says so, once every worker has joined its group: a task that is sent then simply works.
    """
    settings = load_settings(project)
    if settings.kafka.bootstrap:
        raise SettingsError(
            f"'aiosv3 up' brings a broker of its own, but [kafka] bootstrap is {settings.kafka.bootstrap}: take that "
            "setting out, or start the workers alone with 'aiosv3 worker …'"
        )
    pools = find_pools(settings)
    specs = process_specs(settings, pools, project_file(project))
    stack = _stack(settings)
    found = stack.status()
    if found is not None and found.is_up:
        _note_running(found, specs)
    elif not as_json:
        _announce(settings, pools)
    try:
        status = stack.up(specs, detach=detach, on_ready=lambda ready: _show(ready, as_json=as_json))
    except PortTaken as error:
        raise LocalStackError(f"{error} ([up] kafka_port, registry_port in aiosv3.toml)") from None
    except LocalStackError as error:
        raise LocalStackError(reason(str(error))) from None
    if detach:
        _show(status, as_json=as_json)
    elif not as_json and not status.is_up:
        _CONSOLE.print("Stopped.")


def down(project: Project = None, as_json: Json = False) -> None:
    """Stop what 'aiosv3 up' started; data stays in the state folder."""
    stopped = _stack(load_settings(project)).down()
    if as_json:
        echo_json({"stopped": stopped})
    else:
        _CONSOLE.print("Stopped." if stopped else "Nothing was running.")


def status(project: Project = None, as_json: Json = False) -> None:
    """Say what is running. Exit code 3 if the stack is down."""
    found = _stack(load_settings(project)).status()
    if found is not None and found.is_up:
        _show(found, as_json=as_json)
        return
    if as_json:
        echo_json({"phase": "stopped", "bootstrap": None, "registry": None, "processes": []})
    else:
        if found is not None and found.error:
            _CONSOLE.print(f"The last start failed: {reason(found.error)}", markup=False)
        _CONSOLE.print("The stack is down: 'aiosv3 up' starts it.")
    raise typer.Exit(3)


def _stack(settings: Settings) -> Stack:
    given = settings.up
    return Stack(settings.state_folder, kafka_port=given.kafka_port, registry_port=given.registry_port)


def _announce(settings: Settings, pools: Mapping[str, PoolSettings]) -> None:
    """What is about to be started, so that nobody is surprised by where prompts go."""
    _CONSOLE.print("Starting the local stack (the first time it fetches Kafka, about 100 MB)…")
    if not settings.agents:
        _CONSOLE.print('No agents: list them in aiosv3.toml, agents = ["module:function"].', markup=False)
    for name, pool in pools.items():
        where = f"at {pool.base_url}" if pool.base_url else "in its worker" if pool.kind == "local" else "in the cloud"
        _CONSOLE.print(f"Pool {name}: {pool.model} {where}, sees {pool.clearance.label} data and below.", markup=False)
    if all(pool.clearance < settings.mesh.clearance for pool in pools.values()):
        _CONSOLE.print(
            f"No pool may see {settings.mesh.clearance.label} data, which is what a task has that says nothing: set "
            "[mesh] clearance, a pool's clearance, or send ce_dataclassification with the task.",
            markup=False,
        )


def _note_running(found: StackStatus, specs: Collection[ProcessSpec]) -> None:
    running = {one.name for one in found.processes} - _INFRASTRUCTURE
    same = running == {spec.name for spec in specs}
    changed = "" if same else " The project has changed since:"
    _CONSOLE.print(f"It is running already.{changed} 'aiosv3 down' and 'up' again bring in what is new.")


def reason(error: str) -> str:
    """The one sentence in which a worker of ours said why it ended, where the end of its log holds one."""
    first, *log = [line for line in error.splitlines() if line.strip()]
    if not log or not log[-1].startswith("aiosv3: "):
        return error
    place = next((line.removeprefix("end of ").rstrip(":") for line in log if line.startswith("end of ")), "")
    return f"{first}: {log[-1].removeprefix('aiosv3: ')} (log: {place})"


def process_specs(settings: Settings, pools: Mapping[str, PoolSettings], project: Path | None) -> list[ProcessSpec]:
    """The project's own processes: routers, model workers, agent workers, as many of each as ``[up]`` says.

    All get the same ``pools``: what was found on this machine may be gone when a worker is started again. None gets a
    key: those stay in the environment. Raises :class:`SettingsError` for what could not work.
    """
    agents = load_agents(settings)
    check_pins(agents.values(), pools)
    for name, pool in pools.items():
        api_key(name, pool)
        check_local_runtime(name, pool)
    for name in settings.tools:
        open_zone(settings, name)
    tail = ("--project", str(project.resolve())) if project is not None else ()
    wanted: list[tuple[str, tuple[str, ...], int]] = [
        ("router", ("router",), settings.up.routers),
        ("desk", ("desk",), settings.up.desks),
    ]
    wanted += [(f"pool-{name}", ("pool", name), settings.up.models) for name in pools]
    wanted += [(f"tools-{name}", ("tools", name), settings.up.tools) for name in settings.tools]
    wanted += [(f"agent-{name}", ("agent", name), settings.up.agents) for name in agents]
    named = {name: pool.model_dump(mode="json", exclude_unset=True) for name, pool in pools.items()}
    environment = {} if settings.pools else {"AIOSV3_POOLS": json.dumps(named)}
    started = [(f"{name}-{n}", arguments) for name, arguments, count in wanted for n in range(1, count + 1)]
    return [
        _spec(name, (*arguments, *tail), settings.state_folder / "logs", environment, port)
        for (name, arguments), port in zip(started, _free_ports(len(started)), strict=True)
    ]


def _free_ports(count: int) -> list[int]:
    """Different ones: none of them is bound yet."""
    ports: dict[int, None] = {}
    while len(ports) < count:
        ports[free_port()] = None
    return list(ports)


def _spec(name: str, arguments: tuple[str, ...], logs: Path, env: Mapping[str, str], port: int) -> ProcessSpec:
    """Ready when its metrics port answers, which a worker opens once it has joined its group."""
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-m", "aiosv3.app", "worker", *arguments),
        log_path=logs / f"{name}.log",
        env={**env, "AIOSV3_METRICS__PORT": str(port), "AIOSV3_METRICS__HOST": LOOPBACK},
        stage=_WORKER_STAGE,
        ready=f"tcp://{LOOPBACK}:{port}",
        ready_timeout_s=_READY_S,
        stop_timeout_s=_STOP_S,
    )


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
    table = Table()
    for column in ("process", "pid", "state", "restarts", "up"):
        table.add_column(column, overflow="fold")
    for one in found.processes:
        uptime = f"{one.uptime_s():.0f} s"
        table.add_row(one.name, str(one.pid or ""), str(one.state), str(one.restarts), uptime)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    addresses = ", ".join(f"{part} {address}" for part, address in found.addresses.items())
    logs = f"; logs in {Path(found.processes[0].log).parent}" if found.processes else ""
    console.print(f"{found.phase}: {addresses}{logs}", markup=False)
