"""``aiosv3 route``: why a request goes where it goes, what a policy would do, and putting one in force."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from aiosv3.app.commands.console import console
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.commands.routeview import Shown, print_explained, print_replayed
from aiosv3.app.settings import Settings, SettingsError

app = typer.Typer(help="The routing policy: explain decisions, test a policy, put one in force.", no_args_is_help=True)

_FAILED: Final = 1
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_FRACTIONS: Final = frozenset({"max_usd", "complexity"})
_NUMBERS: Final = _FRACTIONS | {"tokens", "max_tokens", "latency_ms", "overflow"}
_AGO: Final = re.compile(r"(\d+)([smhd])")
File = Annotated[
    Path | None, typer.Option("--file", "-f", help="The routing file (default: routing.yaml of the project).")
]


@app.command()
def push(file: File = None, project: Project = None, as_json: Json = False) -> None:
    """Put a routing file in force: routers and model workers follow within a second, without a restart.

    It is checked first, with line numbers; one that is wrong changes nothing. An older file is a way back.
    """
    from aiosv3.app.policies import push_routing, read_routing, routing_path
    from aiosv3.app.topology import base_topics
    from aiosv3.app.workers import ensure, open_mesh

    settings = settings_of(project)
    path = file or routing_path(settings)
    routing = read_routing(path, _pools(settings))

    async def pushed() -> tuple[Any, str | None]:
        async with open_mesh(settings, "aiosv3-cli") as mesh:
            await ensure(mesh, base_topics(settings, mesh.topics))
            return await push_routing(mesh, routing)

    version, before = asyncio.run(pushed())
    if as_json:
        echo_json({"version": version.version, "before": before, "changed": before != version.version})
    elif before == version.version:
        console().print(f"Routing policy {version.version} is in force already.")
    else:
        console().print(f"Routing policy {version.version} is in force (before: {before or 'the built-in one'}).")


@app.command()
def explain(
    task: Annotated[str | None, typer.Argument(help="A task handle or id: its decisions, as recorded.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="The agent that asks.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Whose task it is.")] = None,
    data_class: Annotated[
        str | None, typer.Option("--class", help="public, internal, confidential or restricted.")
    ] = None,
    complexity: Annotated[float | None, typer.Option("--complexity", min=0, max=1, help="0 to 1.")] = None,
    tokens: Annotated[int | None, typer.Option("--tokens", min=0, help="Estimated input.")] = None,
    request: Annotated[
        list[str] | None,
        typer.Option(
            "--request", "-r", metavar="KEY=VALUE", help="More of the request, as in a table of expectations."
        ),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="With the health of the pools as it is now.")] = False,
    file: File = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print why a request goes where it goes: of a task, as decided; or of a request that there is not, by its headers.

    Without --live every pool is taken to be well and free. The policy is the project's file, or --file. Keys of a
    request: workflow, type, label, root, regions, terms, max_tokens, needs, latency_ms, max_usd, pool, model, tried,
    sticky, overflow; a list has commas.
    """
    settings = settings_of(project)
    if task is not None:
        found = asyncio.run(_recorded(settings, task))
        if not found:
            raise SettingsError(f"no decision on the log belongs to task {task!r}")
    else:
        named = {
            "agent": agent,
            "tenant": tenant or settings.mesh.tenant,
            "data_class": data_class,
            "complexity": complexity,
            "tokens": tokens,
        }
        given = {name: value for name, value in named.items() if value is not None}
        found = [_hypothetical(settings, {**given, **_request(request or [])}, file, live=live)]
    if as_json:
        echo_json([one.to_json() for one in found])
        return
    for one in found:
        print_explained(console(), one)


@app.command(name="test")
def expect(
    table: Annotated[Path, typer.Argument(metavar="FILE", help="A table of expectations (YAML).")],
    file: File = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Run a table of expectations against a routing file. Exit code 1 where one fails, with what came instead."""
    from aiosv3.router.routing.compiling import compiled
    from aiosv3.router.routing.errors import RoutingFileError
    from aiosv3.router.routing.expectations import parse_expectations, run_case, unknown_pools

    settings = settings_of(project)
    pools = _pools(settings)
    policy = compiled(_routing(settings, file, pools))
    try:
        cases, marked = parse_expectations(table.read_text(encoding="utf-8"), str(table))
        unknown_pools(cases, marked, pools)
    except RoutingFileError as error:
        raise SettingsError(str(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{table} cannot be read: {error}") from None
    outcomes = [
        run_case(case, marked.line(("cases", number)), policy, pools, settings.mesh.clearance)
        for number, case in enumerate(cases.cases)
    ]
    wrong = [one for one in outcomes if one.wrong]
    if as_json:
        rows = [{"name": one.name, "line": one.line, "holds": not one.wrong, "diff": one.wrong} for one in outcomes]
        echo_json({"policy_version": policy.version, "cases": rows, "failed": len(wrong)})
    else:
        for one in wrong:
            console().print("\n".join((f"{table}:{one.line}: {one.name}", *(f"  {line}" for line in one.wrong))))
        console().print(f"{len(outcomes) - len(wrong)} of {len(outcomes)} expectations hold (policy {policy.version}).")
    if wrong:
        raise typer.Exit(_FAILED)


@app.command()
def replay(
    since: Annotated[str, typer.Option("--from", help="A time (RFC 3339), or how long ago: 30m, 12h, 7d.")] = "",
    file: Annotated[
        Path | None, typer.Option("--policy", help="Decide by this routing file instead: what would change?")
    ] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Make recorded decisions again with the same inputs. Exit code 1 where one differs; the first ones are named.

    By the policies that they name, every decision must come out bit for bit. With --policy it is a forecast: what would
    have gone elsewhere, and what that was expected to cost.
    """
    from aiosv3.router.routing.compiling import compiled

    settings = settings_of(project)
    policy = None if file is None else compiled(_routing(settings, file, _pools(settings)))
    result = asyncio.run(_replayed(settings, _since(since), policy))
    if as_json:
        echo_json(result.to_json())
    else:
        print_replayed(console(), result, forecast=policy is not None)
    if result.different and policy is None:
        raise typer.Exit(_FAILED)


def _since(text: str) -> int:
    """Milliseconds since the epoch; 0: everything that is there."""
    if not text:
        return 0
    if (ago := _AGO.fullmatch(text)) is not None:
        return int((time.time() - int(ago[1]) * _UNITS_S[ago[2]]) * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"--from {text!r}: write a time as 2026-01-31T12:00:00Z, or how long ago as 12h") from None
    if moment.tzinfo is None:
        raise SettingsError(f"--from {text!r} has no time zone: write it as {text}Z")
    return int(moment.timestamp() * 1000)


def _request(words: list[str]) -> dict[str, Any]:
    """``KEY=VALUE`` as a request: lists by commas, numbers where numbers belong."""
    from aiosv3.router.routing.expectations import RequestGroup

    fields = RequestGroup.model_fields
    given: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in fields:
            raise SettingsError(f"--request {word!r}: write KEY=VALUE with one of {', '.join(sorted(fields))}")
        if isinstance(fields[key].default, list):
            given[key] = [part.strip() for part in value.split(",")]
        elif key in _NUMBERS:
            given[key] = _number(key, value)
        else:
            given[key] = value
    return given


def _number(key: str, value: str) -> float:
    try:
        return float(value) if key in _FRACTIONS else int(value)
    except ValueError:
        raise SettingsError(f"--request {key}={value}: this is not a number") from None


def _pools(settings: Settings) -> list[Any]:
    from aiosv3.app.projects import find_pools, priced_pools
    from aiosv3.app.workers import clock

    return priced_pools(settings, find_pools(settings), clock())[0]


def _routing(settings: Settings, file: Path | None, pools: list[Any]) -> Any:
    """The file to decide by: as named, else the project's; an empty one where there is none."""
    from aiosv3.app.policies import read_routing, routing_path
    from aiosv3.router.routing.file import RoutingFile

    path = file or routing_path(settings)
    return RoutingFile() if file is None and not path.exists() else read_routing(path, pools)


def _hypothetical(settings: Settings, given: dict[str, Any], file: Path | None, *, live: bool) -> Shown:
    from aiosv3.router.pools import Health, PoolTable
    from aiosv3.router.routing.compiling import compiled
    from aiosv3.router.routing.expectations import RequestGroup
    from aiosv3.router.routing.explaining import explained

    pools = _pools(settings)
    policy = compiled(_routing(settings, file, pools))
    try:
        request = RequestGroup.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise SettingsError(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}") from None
    table = asyncio.run(_live(settings)) if live else PoolTable()
    now = time.time_ns() // 1_000_000
    health = {pool.name: table.health(pool.name, now) if live else Health(known=True) for pool in pools}
    told, _ = explained(
        request.wanted(policy, settings.mesh.clearance),
        table.priced(policy.pools(pools), now),
        health,
        policy,
    )
    return Shown(told)


async def _live(settings: Settings) -> Any:
    from aiosv3.app.workers import open_mesh
    from aiosv3.router.pools import PoolTable
    from aiosv3.router.status import read_statuses

    table = PoolTable()
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        await read_statuses(mesh.log, mesh.codec, mesh.topics, table, 0)
    return table


async def _recorded(settings: Settings, task: str) -> list[Shown]:
    from aiosv3.app.decisions import decisions_of
    from aiosv3.app.reading import Reading
    from aiosv3.app.tracing import Wanted
    from aiosv3.app.workers import open_mesh
    from aiosv3.router.routing.explaining import recorded

    async with open_mesh(settings, "aiosv3-cli") as mesh:
        found = await decisions_of(Reading(mesh), Wanted.parse(task).task_id)
    return [Shown(recorded(one.decision), one) for one in found]


async def _replayed(settings: Settings, since: int, policy: Any) -> Any:
    from aiosv3.app.decisions import replayed
    from aiosv3.app.reading import Reading
    from aiosv3.app.workers import open_mesh
    from aiosv3.router.routing.book import PolicyBook
    from aiosv3.router.routing.following import read_policies

    async with open_mesh(settings, "aiosv3-cli") as mesh:
        book = PolicyBook()
        await read_policies(mesh.log, mesh.codec, mesh.topics, book)
        return await replayed(Reading(mesh), book, since, policy)
