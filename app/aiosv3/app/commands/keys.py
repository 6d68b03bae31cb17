"""``aiosv3 keys …``: the keys that content is sealed with (docs/sealing.md)."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.projects import mesh_secret
from aiosv3.app.sealing import find_masters, key_store, master_path
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.keys import KeyKind, KeyRecord
from aiosv3.schemas.sealing import KeyedHashes
from aiosv3.streams.keys import KeyRing, MasterKeys, new_master_keys

app = typer.Typer(help="The keys that content is sealed with.", no_args_is_help=True)
_CLIENT: Final = "aiosv3-cli"
_REFUSED: Final = 1
Tenant = Annotated[str | None, typer.Option("--tenant", help="Whose (default: the project's).")]


@app.command()
def new(
    up_to: Annotated[str, typer.Option("--up-to", help="Only for classes up to this one.")] = "restricted",
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write them (default: where [sealing] says).")
    ] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Make master keys, one for each data class, in a file that only its user can read.

    A file that is there is never written over: what is sealed under its keys could not be read any more. Give each
    machine the classes that it may see, and no others ('aiosv3 keys copy').
    """
    settings = settings_of(project)
    path = out or _place(settings)
    classes = [clearance for clearance in Clearance if clearance <= _clearance(up_to)]
    _write(path, new_master_keys(classes))
    _tell(path, MasterKeys.parse(path.read_text(encoding="utf-8")), as_json=as_json)


@app.command()
def copy(
    out: Annotated[Path, typer.Argument(help="The file to write.")],
    up_to: Annotated[str, typer.Option("--up-to", help="The highest class that the other machine may see.")],
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Write the master keys of the classes up to one into a file of their own: for the machine of a pool or a zone."""
    settings, highest = settings_of(project), _clearance(up_to)
    source = _place(settings)
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsError(f"{source} cannot be read: {error.strerror}: 'aiosv3 keys new' makes one") from None
    labels = {clearance.label for clearance in Clearance if clearance <= highest}
    chosen = "".join(f"{line}\n" for line in lines if line.split("=")[0].strip() in labels)
    masters = MasterKeys.parse(chosen)
    _write(out, chosen)
    _tell(out, masters, as_json=as_json)


def _place(settings: Settings) -> Path:
    if settings.sealing.variable is not None:
        words = f"[sealing] master is the variable {settings.sealing.variable}: name a file with --out"
        raise SettingsError(words)
    return master_path(settings)


def _clearance(label: str) -> Clearance:
    try:
        return Clearance.parse(label)
    except ValueError as error:
        raise SettingsError(f"--up-to: {error}") from None


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SettingsError(f"{path} is there, and may hold keys that are in use: it is not written over") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content)


def _tell(path: Path, masters: MasterKeys, *, as_json: bool) -> None:
    named = {clearance.label: list(names) for clearance, names in masters.names.items()}
    if as_json:
        echo_json({"file": str(path), "master_keys": named})
        return
    typer.echo(f"{path}: master keys for {', '.join(named)}. Keep a copy: without them nothing sealed can be read.")


@app.command()
def show(tenant: Tenant = None, project: Project = None, as_json: Json = False) -> None:
    """List master keys and data keys: who they are for (hashed), of which class, in use, retired or shredded.

    With --tenant only the keys of this tenant.
    """
    settings = settings_of(project)
    masters = find_masters(settings) or MasterKeys({})
    found = asyncio.run(_keys(settings, masters))
    if tenant is not None:
        hashed = KeyedHashes(mesh_secret(settings)).tenant(tenant)
        found = [record for record in found if record.tenant == hashed]
    if as_json:
        named = {clearance.label: list(names) for clearance, names in masters.names.items()}
        echo_json({"master_keys": named, "keys": [_data(record) for record in found]})
        return
    _print(masters, found)


async def _keys(settings: Settings, masters: MasterKeys) -> list[KeyRecord]:
    async with open_mesh(settings, _CLIENT) as mesh:
        return await KeyRing(key_store(mesh), masters).keys()


def _data(record: KeyRecord) -> dict[str, Any]:
    """Stable."""
    return {
        "id": record.key_id,
        "kind": record.kind.value.lower(),
        "tenant": record.tenant,
        "subject": record.subject,
        "class": record.clearance,
        "master": record.master,
        "at": datetime.fromtimestamp(record.updated / 1000, UTC).isoformat(timespec="seconds"),
    }


def _print(masters: MasterKeys, found: list[KeyRecord]) -> None:
    console = Console(highlight=False, markup=False)
    for clearance, names in masters.names.items():
        console.print(f"master key of {clearance.label}: {', '.join(names)}")
    if not found:
        console.print("There are no data keys yet.")
        return
    table = Table()
    for column in ("id", "kind", "class", "tenant (hashed)", "subject (hashed)", "since"):
        table.add_column(column, overflow="fold")
    for record in found:
        one = _data(record)
        table.add_row(one["id"], one["kind"], one["class"], one["tenant"], one["subject"] or "", one["at"])
    console.print(table)
    counted = Counter(record.kind for record in found)
    console.print(", ".join(f"{counted[kind]} {kind.value.lower()}" for kind in KeyKind if counted[kind]))


@app.command()
def shred(
    subject: Annotated[str | None, typer.Option("--subject", help="Whom or what the content is about.")] = None,
    tenant: Tenant = None,
    everything: Annotated[
        bool, typer.Option("--without-subject", help="The tenant's own keys: all content that names no subject.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Destroy the data keys of a subject: all that was sealed with them is gone for good, wherever a copy of it lies.

    Exit code 1 if there was no key. Content that comes later gets a new key.
    """
    _end(subject, tenant, project, everything=everything, yes=yes, as_json=as_json, shredding=True)


@app.command()
def renew(
    subject: Annotated[str | None, typer.Option("--subject", help="Whom or what the content is about.")] = None,
    tenant: Tenant = None,
    everything: Annotated[
        bool, typer.Option("--without-subject", help="The tenant's own keys: of content that names no subject.")
    ] = False,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Have new content sealed with new keys; the old ones open what they sealed. Exit code 1 if there was no key."""
    _end(subject, tenant, project, everything=everything, yes=True, as_json=as_json, shredding=False)


def _end(
    subject: str | None,
    tenant: str | None,
    project: Path | None,
    *,
    everything: bool,
    yes: bool,
    as_json: bool,
    shredding: bool,
) -> None:
    if (subject is None) == (not everything):
        raise SettingsError("say whose keys: --subject NAME, or --without-subject for the tenant's own")
    settings = settings_of(project)
    whose = tenant or settings.mesh.tenant
    if shredding and not yes:
        what = (
            f"of {subject} with tenant {whose}" if subject is not None else f"of tenant {whose} that names no subject"
        )
        typer.confirm(f"All sealed content {what} will be gone for good. Go on?", abort=True, err=True)
    ended = asyncio.run(_ended(settings, whose, subject, shredding=shredding))
    word = "shredded" if shredding else "retired"
    if as_json:
        echo_json({"tenant": whose, "subject": subject, word: ended})
    else:
        typer.echo(f"{len(ended)} {word}: {', '.join(ended)}" if ended else "There was no key.")
    if not ended:
        raise typer.Exit(_REFUSED)


async def _ended(settings: Settings, tenant: str, subject: str | None, *, shredding: bool) -> list[str]:
    hashes = KeyedHashes(mesh_secret(settings))
    named = hashes.tenant(tenant), None if subject is None else hashes.subject(tenant, subject)
    async with open_mesh(settings, _CLIENT) as mesh:
        ring = KeyRing(key_store(mesh), MasterKeys({}))
        return await (ring.shred(*named) if shredding else ring.retire(*named))
