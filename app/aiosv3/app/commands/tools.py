"""``aiosv3 tools list`` and ``aiosv3 stubs``: what the tool servers of a project offer, and typed code for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from aiosv3.app.commands.options import Json, Project, echo_json
from aiosv3.app.settings import Settings, SettingsError, load_settings
from aiosv3.app.stubs import module_of
from aiosv3.app.tooling import open_zone
from aiosv3.tools import ServedTools, ToolError, ToolSpec

app = typer.Typer(help="What the tool servers of the project offer.", no_args_is_help=True)
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file (default: print).")]


@app.callback()
def _group() -> None:
    """A group, though it has one verb."""


@app.command(name="list")
def listing(project: Project = None, as_json: Json = False) -> None:
    """List the servers of all zones with their tools. Exit code 1 if one of them does not answer."""
    found = asyncio.run(_all(load_settings(project)))
    if as_json:
        echo_json(found)
    else:
        _print(found)
    if any(server["error"] for server in found):
        raise typer.Exit(1)


def stubs(
    server: Annotated[str, typer.Argument(help="Its name, as SERVER or ZONE/SERVER.")],
    output: Output = None,
    project: Project = None,
) -> None:
    """Write a Python module with a typed Tool for each tool of a server."""
    settings = load_settings(project)
    zone, name = _find(settings, server)
    specs, error = asyncio.run(_one(open_zone(settings, zone)[name]))
    if error is not None:
        raise error
    text = module_of(zone, name, specs)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _find(settings: Settings, server: str) -> tuple[str, str]:
    places = [(zone, name) for zone, given in settings.tools.items() for name in given.servers]
    wanted = [(zone, name) for zone, name in places if server in {name, f"{zone}/{name}"}]
    if len(wanted) == 1:
        return wanted[0]
    known = ", ".join(sorted(f"{zone}/{name}" for zone, name in places)) or "none"
    raise SettingsError(f"{'several servers are' if wanted else 'no server is'} named {server!r}; there is {known}")


async def _all(settings: Settings) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for zone in sorted(settings.tools):
        for name, server in open_zone(settings, zone).items():
            specs, error = await _one(server)
            kind = settings.tools[zone].servers[name].kind
            told = None if error is None else str(error)
            found.append(
                {"zone": zone, "server": name, "kind": kind, "error": told, "tools": [_told(s) for s in specs]}
            )
    return found


async def _one(server: ServedTools) -> tuple[Sequence[ToolSpec], ToolError | None]:
    try:
        return await server.tools(), None
    except ToolError as error:
        return (), error
    finally:
        await server.aclose()


def _told(spec: ToolSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "description": spec.description,
        "repeatable": spec.repeatable,
        "input_schema": spec.input_schema,
        "output_schema": spec.output_schema,
    }


def _print(found: Sequence[dict[str, Any]]) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if not found:
        console.print("No tool servers: write [tools.ZONE.servers.NAME] in aiosv3.toml.")
    for server in found:
        console.print(f"{server['zone']}/{server['server']} ({server['kind']})")
        if server["error"]:
            console.print(f"  does not answer: {server['error']}")
        for tool in server["tools"]:
            arguments = ", ".join(tool["input_schema"].get("properties", {}))
            summary = " ".join(tool["description"].split())[:100]
            console.print(f"  {tool['name']}({arguments}){f'  {summary}' if summary else ''}")
