"""``aiosv3 up``, ``down``, ``status``: the local stack and the project's own processes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from aiosv3.app.addresses import located
from aiosv3.app.backings import check_serving
from aiosv3.app.borrowing import borrowed_by, check_borrowed, with_addresses
from aiosv3.app.changes import changes, remember
from aiosv3.app.commands.options import Json, Project, echo_json
from aiosv3.app.commands.stackview import DOWN, lost, next_steps, print_stack, summary
from aiosv3.app.commands.startview import StartView
from aiosv3.app.doctor import models
from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Level
from aiosv3.app.localmodel import fetch_model
from aiosv3.app.localstack.errors import LocalStackError, PortTaken
from aiosv3.app.localstack.ports import LOOPBACK, free_port
from aiosv3.app.localstack.processes import identify
from aiosv3.app.localstack.progress import Progress, Silent
from aiosv3.app.localstack.specs import ProcessSpec, RestartPolicy
from aiosv3.app.localstack.stack import Stack
from aiosv3.app.localstack.status import Phase, StackStatus
from aiosv3.app.pricing import Says, check_budgets, price_pools, table_of
from aiosv3.app.projects import api_key, check_local_runtime, check_pins, find_pools, load_agents
from aiosv3.app.sealing import check_masters
from aiosv3.app.settings import PoolSettings, Settings, SettingsError, load_settings, project_file
from aiosv3.app.standing import Standing, standings
from aiosv3.app.tooling import open_zone
from aiosv3.app.workers import clock

_CONSOLE: Final = Console(stderr=True, soft_wrap=True, highlight=False)
_WORKER_STAGE: Final = 2
_READY_S: Final = 240.0
"""A worker may have to fetch the local model's file (93 MB) first."""
_STOP_S: Final = 20.0
_POOL_S: Final = 2.0
_WAITS: Final = 4
"""The exit code of a worker to which a service does not answer."""
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Return when all is ready; 'aiosv3 down' stops it.")]
Bootstrap = Annotated[
    str, typer.Option("--bootstrap", metavar="HOST:PORT", help="Use this broker, and start the workers only.")
]
Registry = Annotated[
    str, typer.Option("--registry", metavar="URL", help="Use this schema registry (default: an embedded one).")
]


def up(
    project: Project = None,
    detach: Detach = False,
    bootstrap: Bootstrap = "",
    registry: Registry = "",
    as_json: Json = False,
) -> None:
    """Start Kafka, a schema registry, the router, the pools and the project's agents on this machine.

    With a broker of yours (--bootstrap, or [kafka] bootstrap) only the workers are started, and an embedded registry
    where none is named. Returns, or says so, once every worker has joined its group: a task that is sent then simply
    works. A model server that loads weights is waited for as long as it makes progress. Exit code 4: a part did not
    start, which the last line names with its log.
    """
    settings = with_addresses(load_settings(project), bootstrap, registry)
    pools = find_pools(settings)
    specs = process_specs(settings, pools, project_file(project))
    if as_json:
        _up(settings, pools, specs, Silent(), detach=detach, as_json=True)
        return
    with StartView(_CONSOLE) as view:
        _up(settings, pools, specs, view, detach=detach, as_json=False)
    if detach:
        tail = () if project is None else ("-p", str(project))
        lines = next_steps(list(load_agents(settings)), tail)
        _CONSOLE.print("Next: " + "\n      ".join(lines), markup=False)


def _up(
    settings: Settings,
    pools: Mapping[str, PoolSettings],
    specs: list[ProcessSpec],
    progress: Progress,
    *,
    detach: bool,
    as_json: bool,
) -> None:
    stack = _stack(settings, progress)
    found = stack.status()
    if found is not None and found.is_up:
        _note_running(found, settings, specs, progress)
    else:
        asyncio.run(check_borrowed(settings))
        _announce(settings, pools, progress)
        asyncio.run(_look_at_pools(settings, pools, progress))
        if any(pool.kind == "local" for pool in pools.values()):
            fetch_model(progress)
        remember(settings)
    shown: list[StackStatus] = []

    def show(ready: StackStatus) -> None:
        shown.append(ready)
        _show(ready, as_json=as_json)
        if ready.supervisor == identify(os.getpid()):
            progress.say("Ctrl-C stops it.")

    try:
        status = stack.up(specs, detach=detach, on_ready=show)
    except PortTaken as error:
        raise LocalStackError(f"{error} ([up] kafka_port, registry_port in aiosv3.toml)") from None
    if detach:
        _show(status, as_json=as_json)
    elif not status.is_up:
        progress.say("Stopped.")
        if not shown:
            raise typer.Exit(130)


def down(project: Project = None, as_json: Json = False) -> None:
    """Stop what 'aiosv3 up' started; data stays in the state folder."""
    stopped = _stack(load_settings(project)).down()
    if as_json:
        echo_json({"stopped": stopped})
    else:
        _CONSOLE.print("Stopped." if stopped else "Nothing was running.")


def status(project: Project = None, as_json: Json = False) -> None:
    """Say what is running, and how many tasks are unfinished, parked or stuck. Exit code 3 if the stack is down."""
    settings = load_settings(project)
    found = _stack(settings).status()
    if found is not None and found.is_up:
        agents = asyncio.run(standings(located(settings), found))
        if as_json:
            echo_json({**summary(found), "agents": [agent.to_json() for agent in agents]})
        else:
            print_stack(found)
            _print_agents(agents)
        return
    if as_json:
        echo_json({**DOWN, "agents": []})
    elif found is not None and found.phase is Phase.LOST:
        _CONSOLE.print(lost(found), markup=False)
    else:
        if found is not None and found.error:
            _CONSOLE.print(f"The last start failed: {found.error}", markup=False)
        _CONSOLE.print("The stack is down: 'aiosv3 up' starts it.")
    raise typer.Exit(3)


def _print_agents(agents: Sequence[Standing]) -> None:
    """A line for each agent that has something to do."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for agent in agents:
        words = agent.words()
        if words is not None:
            console.print(words, style="yellow" if agent.stuck else None)


def _stack(settings: Settings, progress: Progress | None = None) -> Stack:
    given = settings.up
    return Stack(
        settings.state_folder,
        kafka_port=given.kafka_port,
        registry_port=given.registry_port,
        borrowed=borrowed_by(settings),
        progress=progress,
    )


def _announce(settings: Settings, pools: Mapping[str, PoolSettings], progress: Progress) -> None:
    """What is about to be started, so that nobody is surprised by where prompts go."""
    progress.say(_what(settings))
    if not settings.agents:
        progress.say('No agents: list them in aiosv3.toml, agents = ["module:function"].')
    for name, pool in pools.items():
        own = "in its worker" if pool.kind == "local" else "served by its worker, which may take minutes to start"
        where = f"at {pool.base_url}" if pool.base_url else own if pool.kind in {"local", "vllm"} else "in the cloud"
        progress.say(f"Pool {name}: {pool.model} {where}, sees {pool.clearance.label} data and below.")
    _announce_prices(settings, pools, progress)
    if all(pool.clearance < settings.mesh.clearance for pool in pools.values()):
        progress.say(
            f"No pool may see {settings.mesh.clearance.label} data, which is what a task has that says nothing: set "
            "[mesh] clearance, a pool's clearance, or send ce_dataclassification with the task."
        )


def _announce_prices(settings: Settings, pools: Mapping[str, PoolSettings], progress: Progress) -> None:
    """Prices that the project does not set itself, and what is wrong with those that it does."""
    for priced in price_pools(pools, table_of(settings), clock()).values():
        if priced.says in {Says.TABLE, Says.GPU}:
            progress.say(f"Pool {priced.pool} costs {priced.words}.")
        if priced.warning is not None:
            progress.say(f"{priced.warning[0].upper()}{priced.warning[1:]}.")


async def _look_at_pools(settings: Settings, pools: Mapping[str, PoolSettings], progress: Progress) -> None:
    """A server of one's own may come later; whoever forgot it, or the name of its model, reads it here."""
    own = {name: pool for name, pool in pools.items() if pool.base_url}
    if not own:
        return
    asked = settings.model_copy(update={"pools": own})
    for finding in await models.check(Case(asked, asked, None, _POOL_S)):
        if finding.level is not Level.OK:
            progress.say(f"{finding.check} is no use now: {finding.message}: {finding.action}.")


def _what(settings: Settings) -> str:
    borrowed = borrowed_by(settings)
    if not borrowed.kafka:
        registry = f"the registry is {borrowed.registry}" if borrowed.registry else "a schema registry"
        return f"Starting Kafka, {registry} and the workers on this machine…"
    if borrowed.registry:
        return f"Starting the workers only: the broker is {borrowed.kafka}, the registry {borrowed.registry}…"
    if borrowed.registered:
        return f"Starting the workers and a schema registry: the broker is {borrowed.kafka}…"
    return (
        f"Starting the workers only: the broker is {borrowed.kafka}. The embedded registry cannot log in there, so "
        f"schemas are kept in {settings.state_folder / 'schemas.lock.json'}: [registry] url names a registry…"
    )


def _note_running(found: StackStatus, settings: Settings, specs: list[ProcessSpec], progress: Progress) -> None:
    """What the stack that runs does not have of what is asked for now. Raises where it could not be meant."""
    for part, wanted in (("kafka", settings.kafka.bootstrap), ("registry", settings.registry.url)):
        running = found.addresses.get(part, "")
        if wanted and wanted != running:
            raise SettingsError(
                f"the stack that runs here has {part} {running or 'nowhere'}, not {wanted}: 'aiosv3 down' first"
            )
    differences = changes(found, settings, specs)
    if differences:
        progress.say(
            f"It is running already, as the project was before: {'; '.join(differences)}. 'aiosv3 down' and 'aiosv3 "
            "up' bring that in (tasks that are open go on)."
        )
    else:
        progress.say("It is running already.")


def process_specs(settings: Settings, pools: Mapping[str, PoolSettings], project: Path | None) -> list[ProcessSpec]:
    """The project's own processes: routers, model workers, agent workers, as many of each as ``[up]`` says.

    All get the same ``pools``: what was found on this machine may be gone when a worker is started again. None gets a
    key: those stay in the environment. Raises :class:`SettingsError` for what could not work.
    """
    agents = load_agents(settings)
    check_pins(agents.values(), pools)
    priced = price_pools(pools, table_of(settings), clock())
    check_budgets(settings, priced.values(), [agent.limits.usd_micros for agent in agents.values()])
    for name, pool in pools.items():
        api_key(name, pool)
        check_local_runtime(name, pool)
        check_serving(name, pool, settings.folder)
    for name in settings.tools:
        open_zone(settings, name)
    check_masters(settings)
    tail = ("--project", str(project.resolve())) if project is not None else ()
    wanted: list[tuple[str, tuple[str, ...], int]] = [
        ("router", ("router", "--push"), settings.up.routers),
        ("desk", ("desk",), settings.up.desks),
        ("memory", ("memory",), settings.up.memories if settings.memory.on else 0),
    ]
    wanted += [(f"pool-{name}", ("pool", name), settings.up.models) for name in pools]
    wanted += [(f"tools-{name}", ("tools", name), settings.up.tools) for name in settings.tools]
    wanted += [(f"agent-{name}", ("agent", name), settings.up.agents) for name in agents]
    named = {name: pool.model_dump(mode="json", exclude_unset=True) for name, pool in pools.items()}
    environment = {} if settings.pools else {"AIOSV3_POOLS": json.dumps(named)}
    started = [(f"{name}-{n}", arguments) for name, arguments, count in wanted for n in range(1, count + 1)]
    specs = [
        _spec(name, (*arguments, *tail), settings.state_folder / "logs", environment, port)
        for (name, arguments), port in zip(started, _free_ports(len(started)), strict=True)
    ]
    serving = {
        f"pool-{name}-{n}" for name, pool in pools.items() if pool.serve for n in range(1, settings.up.models + 1)
    }
    return [_serving(spec) if spec.name in serving else spec for spec in specs]


def _serving(spec: ProcessSpec) -> ProcessSpec:
    """A worker that waits for the model server that it runs: it says how that goes, and ends where it does not."""
    return replace(spec, talks=True, restart=replace(spec.restart, first_tries=1))


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
        env={
            **env,
            "AIOSV3_METRICS__PORT": str(port),
            "AIOSV3_METRICS__HOST": LOOPBACK,
            "AIOSV3_KAFKA__INSTANCE": f"{name}.{_place(logs)}",
        },
        stage=_WORKER_STAGE,
        ready=f"tcp://{LOOPBACK}:{port}",
        restart=RestartPolicy(waiting=(_WAITS,)),
        ready_timeout_s=_READY_S,
        stop_timeout_s=_STOP_S,
    )


def _place(folder: Path) -> str:
    """A short name of this folder on this machine: another project's workers may be in the same groups."""
    return hashlib.blake2b(f"{socket.gethostname()}:{folder.resolve()}".encode(), digest_size=6).hexdigest()


def _show(found: StackStatus, *, as_json: bool) -> None:
    if as_json:
        echo_json(summary(found))
    else:
        print_stack(found)
