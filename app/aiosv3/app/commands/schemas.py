"""``aiosv3 schemas check|push``: the project's schemas against what is released, before a worker finds out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import typer
from rich.console import Console
from rich.text import Text

from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.projects import load_agents
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.subjects import (
    Compared,
    Status,
    Subject,
    compared,
    locked_versions,
    project_subjects,
    registered_versions,
)
from aiosv3.app.workers import open_registry
from aiosv3.schemas.errors import IncompatibleSchema
from aiosv3.schemas.registry import RegistryClient, RegistryRefused
from aiosv3.schemas.store import SchemaStore

app = typer.Typer(help="The project's schemas, and the registry that has the released ones.", no_args_is_help=True)
LEVEL: Final = "BACKWARD_TRANSITIVE"
_REFUSED: Final = 1
_STYLES: Final = {Status.NEW: "cyan", Status.SAME: "", Status.CHANGED: "cyan", Status.BROKEN: "red"}


@app.command()
def check(project: Project = None, as_json: Json = False) -> None:
    """Compare the project's schemas with every released version, in the registry and the lock file.

    Nothing is registered. Exit code 1 if records of a released version could not be read any more, with the field and
    the rule of Avro that is broken.
    """
    settings = settings_of(project)
    found = asyncio.run(_check(settings, _subjects(settings)))
    broken = _broken(found)
    if as_json:
        echo_json({"registry": settings.registry.url or None, "ok": not broken, "subjects": _data(found)})
    else:
        _print(found, settings)
    if broken:
        raise typer.Exit(_REFUSED)


def _subjects(settings: Settings) -> list[Subject]:
    return project_subjects(settings, load_agents(settings).values())


def _broken(found: Sequence[Compared]) -> bool:
    return any(one.status is Status.BROKEN for one in found)


async def _check(settings: Settings, subjects: Sequence[Subject]) -> list[Compared]:
    registry = open_registry(settings)
    if registry is None:
        return await _compare(settings, subjects, None)
    async with registry:
        return await _compare(settings, subjects, registry)


async def _compare(settings: Settings, subjects: Sequence[Subject], registry: RegistryClient | None) -> list[Compared]:
    locked = locked_versions(settings.state_folder / "schemas.lock.json")
    found = []
    for subject in subjects:
        registered = None if registry is None else await registered_versions(registry, subject.name)
        found.append(compared(subject, locked.get(subject.name, ()), registered))
    return found


def _data(found: Sequence[Compared]) -> list[dict[str, Any]]:
    """Stable."""
    return [
        {
            "subject": one.subject.name,
            "agent": one.subject.agent,
            "status": one.status.value,
            "registered": one.versions,
            "faults": [{"against": fault.against, "field": fault.field, "rule": fault.rule} for fault in one.faults],
        }
        for one in found
    ]


def _print(found: Sequence[Compared], settings: Settings) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for one in found:
        versions = "" if one.versions is None else f" ({one.versions} registered)"
        console.print(Text(f"{one.subject.name}: {one.status.value}{versions}", _STYLES[one.status]))
        for fault in one.faults:
            console.print(Text(f"  {fault.field}: {fault.rule} (against {fault.against})"))
    if _broken(found):
        console.print("Give such a field a default, or start a new generation of the topic.")
    if not settings.registry.url:
        console.print("No registry: this is compared with the lock file only ([registry] url in aiosv3.toml).")


@app.command()
def push(project: Project = None, as_json: Json = False) -> None:
    """Register the project's schemas and have the registry hold them to BACKWARD_TRANSITIVE.

    Where workers may not register, this is needed before their first start. Nothing is registered if one schema would
    be incompatible. Exit code 1 if that is so, or if the registry refuses one.
    """
    settings = settings_of(project)
    if not settings.registry.url:
        raise SettingsError("there is no registry: set [registry] url in aiosv3.toml, or start one with 'aiosv3 up'")
    subjects = _subjects(settings)
    found, told = asyncio.run(_push(settings, subjects))
    refused = _broken(found) or any(one["refused"] for one in told)
    if as_json:
        echo_json({"registry": settings.registry.url, "ok": not refused, "subjects": told or _data(found)})
    elif _broken(found):
        _print([one for one in found if one.status is Status.BROKEN], settings)
        typer.echo("Nothing was registered.", err=True)
    else:
        for one in told:
            said = f"id {one['id']}, {LEVEL}" if not one["refused"] else f"refused: {one['refused']}"
            typer.echo(f"{one['subject']}: {one['status']}: {said}", err=bool(one["refused"]))
    if refused:
        raise typer.Exit(_REFUSED)


async def _push(settings: Settings, subjects: Sequence[Subject]) -> tuple[list[Compared], list[dict[str, Any]]]:
    registry = open_registry(settings)
    if registry is None:
        return [], []
    async with registry:
        found = await _compare(settings, subjects, registry)
        if _broken(found):
            return found, []
        store = SchemaStore(settings.state_folder / "schemas.lock.json", registry)
        return found, [await _pushed(registry, store, one) for one in found]


async def _pushed(registry: RegistryClient, store: SchemaStore, one: Compared) -> dict[str, Any]:
    """One subject registered, with its rule first, so that the registry checks this version by it too."""
    name, schema = one.subject.name, one.subject.schema
    number, refusals = None, []
    try:
        await registry.set_compatibility(name, LEVEL)
    except RegistryRefused as error:
        refusals.append(str(error))
    try:
        number = await registry.register(name, schema)
        await store.register(name, schema)  # into the lock file
    except (IncompatibleSchema, RegistryRefused) as error:
        refusals.append(str(error))
    return {**_data([one])[0], "id": number, "refused": "; ".join(refusals) or None}
