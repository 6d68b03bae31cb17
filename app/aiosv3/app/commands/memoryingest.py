"""``aiosv3 memory ingest``: documents become memories, each chunk with where it stands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.console import Console

from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.documents import Place, gone, places
from aiosv3.app.ingesting import Filing, Ingested, Ingesting
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import open_mesh
from aiosv3.memory.access import is_scope
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.memory import KINDS, TENANT_WIDE

_CLIENT: Final = "aiosv3-cli"
Named = Annotated[str, typer.Argument(metavar="DIR|FILE|URL", help="Markdown, HTML, PDF or text.")]
Scope = Annotated[str, typer.Option("--scope", help="Who may read it: tenant, team:NAME or agent:NAME.")]
Kind = Annotated[str, typer.Option("--kind", help=f"One of {', '.join(KINDS)}.")]
Class = Annotated[str, typer.Option("--class", help="public, internal, confidential or restricted.")]
Trust = Annotated[int, typer.Option("--trust", min=0, max=2, help="0: found only where it is asked for.")]
Subject = Annotated[str | None, typer.Option("--subject", help="Whom or what all of it is about.")]
Prune = Annotated[bool, typer.Option("--prune", help="End also what came from files of DIR that are gone.")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="Whose memory (default: the project's tenant).")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for each 64 chunks.")]


def ingest(
    named: Named,
    scope: Scope = TENANT_WIDE,
    kind: Kind = "chunk",
    clearance: Class = "internal",
    trust: Trust = 1,
    subject: Subject = None,
    prune: Prune = False,
    tenant: Tenant = None,
    wait: Wait = 60.0,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Have documents remembered, cut into chunks that keep their headings.

    Again, it sends only what has changed; chunks that a document no longer has end. ``source`` is the file, relative to
    the project's folder, or the address; ``position`` the number of the chunk. HTML and PDF need ``aiosv3[documents]``.
    """
    settings = settings_of(project)
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what cannot be read is said once
    if not is_scope(scope) or kind not in KINDS:
        raise SettingsError(f"scope is tenant, team:NAME or agent:NAME, kind one of {', '.join(KINDS)}")
    try:
        level = Clearance.parse(clearance)
    except ValueError as error:
        raise SettingsError(f"--class: {error}") from None
    filing = Filing(tenant or settings.mesh.tenant, scope, kind, level, trust, subject)
    done = asyncio.run(_ingest(settings, filing, named, wait, prune=prune))
    if as_json:
        echo_json(done.told())
    else:
        _say(done)
    if done.skipped or done.refused:
        raise typer.Exit(1)


async def _ingest(settings: Settings, filing: Filing, named: str, wait: float, *, prune: bool) -> Ingested:
    found = places(named, settings.folder)
    async with open_mesh(settings, _CLIENT) as mesh:
        ingesting = Ingesting(mesh, filing, wait)
        await ingesting.look()
        over = gone(ingesting.sources, named, settings.folder) if prune else []
        with _bar(found) as advance:
            await ingesting.documents(found, advance)
        await ingesting.end(over)
        return ingesting.done


@contextmanager
def _bar(found: list[Place]) -> Iterator[Callable[[str], None]]:
    """On a terminal, on stderr; it goes away when it is done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=len(found))
        yield lambda source: bar.update(task, advance=1, description=source)


def _say(done: Ingested) -> None:
    for source, why in done.skipped.items():
        typer.echo(f"{source} is left out: {why}", err=True)
    for words in done.refused:
        typer.echo(words, err=True)
    typer.echo(
        f"{done.documents} documents, {done.chunks} chunks: {done.sent} sent, {done.unchanged} unchanged, "
        f"{done.ended} ended"
    )
