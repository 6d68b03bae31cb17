"""``aiosv3 memory …``: what agents remember, from a shell: found, shown, forgotten, checked, carried away."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from aiosv3.app.commands.memoryeval import evaluate_memory
from aiosv3.app.commands.memoryforget import forget, quarantine
from aiosv3.app.commands.memoryingest import ingest
from aiosv3.app.commands.memorylive import confirm_live, go_back, rebuild_live
from aiosv3.app.commands.memoryoptions import Subject, Tenant, Wait
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.looking import Asked, Looked, here, look
from aiosv3.app.memoryasking import MemoryAsking
from aiosv3.app.recollection import MemoryReading, NoSuchMemory, as_line, cited, moment_of
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.timeline import Named, quarantines, timeline, who, words_of
from aiosv3.app.workers import open_mesh
from aiosv3.memory.access import is_scope, scope_in
from aiosv3.schemas.memory import KINDS

if TYPE_CHECKING:
    from aiosv3.memory.views.port import Entry
    from aiosv3.schemas.memory import MemoryEvent
    from aiosv3.streams.log import Record

app = typer.Typer(help="See what agents remember, and forget it.", no_args_is_help=True)
app.command("eval")(evaluate_memory)
app.command()(ingest)
app.command()(forget)
app.command()(quarantine)
_CLIENT: Final = "aiosv3-cli"
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="TIME|PARTITION:OFFSET,…",
        help="What was known then: at a time (UTC), or before these events.",
    ),
]


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What is looked for; without it the newest are shown.")] = "",
    k: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 10,
    subject: Subject = None,
    scope: Annotated[str | None, typer.Option("--scope", help="Only tenant, team:NAME or agent:NAME.")] = None,
    as_of: AsOf = None,
    kind: Annotated[str | None, typer.Option("--kind", help=f"Only one of {', '.join(KINDS)}.")] = None,
    source: Annotated[list[str] | None, typer.Option("--source", help="Only from this source, or several.")] = None,
    task: Annotated[list[str] | None, typer.Option("--task", help="Only what this task had remembered.")] = None,
    model: Annotated[list[str] | None, typer.Option("--model", help="Only what this model has found.")] = None,
    min_trust: Annotated[int, typer.Option("--min-trust", min=0, max=2, help="1: without what is in quarantine.")] = 0,
    tenant: Tenant = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Find memories in all scopes and classes, by words and by meaning. Reads the whole log: no worker is needed.

    By words alone, and said so, where the embedder of the settings does not work here without a download.
    """
    if kind is not None and kind not in KINDS:
        raise SettingsError(f"--kind is one of {', '.join(KINDS)}, not {kind!r}")
    if scope is not None and not is_scope(scope):
        raise SettingsError(f"--scope is tenant, team:NAME or agent:NAME, not {scope!r}")
    origins = tuple(source or ()), tuple(task or ()), tuple(model or ())
    asked = Asked(query, k, subject, scope, kind, *origins, min_trust)
    looked = asyncio.run(_search(settings_of(project), tenant, asked, moment_of(as_of)))
    if looked.degraded is not None:
        typer.echo(looked.degraded, err=True)
    if as_json:
        echo_json(looked.found)
        return
    # No table: an id, and a chunk of a document, are longer than a column.
    for one in looked.found:
        typer.echo(f"{one['id']}  {one['scope']}  {one['kind']}  {_moment(one['valid_from'])}{_distrust(one['trust'])}")
        typer.echo("\n".join(f"  {line}".rstrip() for line in one["text"].splitlines()))
        typer.echo("  ".join(filter(None, ("  --", one["source"], one["citation"]))) + "\n")
    if not looked.found:
        typer.echo("Nothing like that is remembered.")


def _distrust(trust: int) -> str:
    return "" if trust else "  [quarantine]"


async def _search(settings: Settings, tenant: str | None, asked: Asked, moment: int | dict[int, int] | None) -> Looked:
    async with open_mesh(settings, _CLIENT) as mesh:
        return await look(MemoryReading(mesh), tenant or settings.mesh.tenant, asked, moment, here(settings))


@app.command()
def show(
    memory_id: Annotated[str, typer.Argument(help="Its id.")],
    as_of: AsOf = None,
    tenant: Tenant = None,
    project: Project = None,
) -> None:
    """Print one memory as JSON, with where it came from, and why it is in quarantine if it is."""
    echo_json(asyncio.run(_show(settings_of(project), tenant, memory_id, moment_of(as_of))))


async def _show(
    settings: Settings, tenant: str | None, memory_id: str, moment: int | dict[int, int] | None
) -> dict[str, Any]:
    whose = tenant or settings.mesh.tenant
    async with open_mesh(settings, _CLIENT) as mesh:
        recollection = await MemoryReading(mesh).recollect(moment)
        found = await recollection.entries(whose, [memory_id])
        if not found:
            when = "now" if moment is None else "then"
            raise NoSuchMemory(
                f"there is no memory {memory_id!r} {when}: 'aiosv3 memory history' shows what was said of it"
            )
        told = cited(found[0], mesh.topics.memory_events(), origin=recollection.origin(found[0]))
        return {**told, "quarantine": quarantines(recollection, whose, memory_id)}


@app.command()
def history(
    memory_id: Annotated[str | None, typer.Argument(help="The id of one memory.")] = None,
    subject: Subject = None,
    as_of: AsOf = None,
    tenant: Tenant = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print all that was said of a memory, or of a subject, oldest first, and by whom.

    What was remembered, forgotten and over by its time, and what put it into quarantine or let it out.
    """
    if (memory_id is None) == (subject is None):
        raise SettingsError("name either a memory, by its id, or a --subject")
    told = asyncio.run(_history(settings_of(project), tenant, memory_id, subject, moment_of(as_of)))
    if as_json:
        echo_json(told)
        return
    if not told:
        typer.echo("Nothing was said of it.")
    for one in told:
        by = f"  by {one['by']}" if one["by"] else ""
        typer.echo(f"{_moment(one['recorded_at'])}  {one['action']:<10}  {one['id'] or ''}  {one['text']}{by}")


async def _history(
    settings: Settings,
    tenant: str | None,
    memory_id: str | None,
    subject: str | None,
    moment: int | dict[int, int] | None,
) -> list[dict[str, Any]]:
    whose = tenant or settings.mesh.tenant
    async with open_mesh(settings, _CLIENT) as mesh:
        memory = MemoryReading(mesh)
        recollection = await memory.recollect(moment)
        named = Named(memory_id, None if subject is None else memory.subject(whose, subject))
        events = timeline(recollection, whose, named)
        return [_told(record, event, words_of(event, await memory.said(event))) for record, event in events]


def _told(record: Record, event: MemoryEvent, text: str) -> dict[str, Any]:
    return {
        "action": event.action.value.lower(),
        "id": event.memory_id,
        "scope": event.scope,
        "kind": event.kind,
        "text": text,
        "source": event.source,
        "task": event.from_task or event.task_id,
        "agent": event.agent,
        "model": event.model,
        "by": who(event),
        "recorded_at": record.timestamp,
        "partition": record.partition,
        "offset": record.offset,
    }


@app.command()
def rebuild(
    live: Annotated[bool, typer.Option("--live", help="Have the running workers build their views anew.")] = False,
    confirm: Annotated[bool, typer.Option("--confirm", help="Drop what --live kept on Weaviate.")] = False,
    back: Annotated[str | None, typer.Option("--back", help="Go back to a collection that --live kept.")] = None,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the workers.")] = 600.0,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Build memory from its log, and from its states, and compare: count and hash of each tenant.

    No model is called. Exit code 1 where they differ. A worker builds its own view from the log whenever it starts;
    with --live now, beside the one that answers, and changes to it if both are equal. On Weaviate one of the workers
    does it for all, and the collection before is kept until --confirm.
    """
    if confirm:
        confirm_live(settings_of(project), as_json=as_json)
        return
    if back is not None:
        go_back(settings_of(project), back, as_json=as_json)
        return
    if live:
        rebuild_live(settings_of(project), wait, as_json=as_json)
        return
    found = asyncio.run(_rebuild(settings_of(project)))
    if as_json:
        echo_json(found)
    else:
        for tenant, one in found["tenants"].items():
            same = "the same" if one["same"] else "DIFFERENT in memory.state"
            typer.echo(f"{tenant}: {one['count']} memories, {one['hash']}, {same}")
        typer.echo(f"{found['records']} records in {found['seconds']:.2f} s")
    if not all(one["same"] for one in found["tenants"].values()):
        raise typer.Exit(1)


async def _rebuild(settings: Settings) -> dict[str, Any]:
    async with open_mesh(settings, _CLIENT) as mesh:
        memory, loop = MemoryReading(mesh), asyncio.get_running_loop()
        began = loop.time()
        recollection = await memory.recollect()
        took = loop.time() - began
        ours, theirs = await recollection.digests(), await (await memory.from_states()).digests()
        tenants = {
            tenant: {
                "count": ours[tenant].count if tenant in ours else 0,
                "hash": ours[tenant].hash if tenant in ours else None,
                "same": ours.get(tenant) == theirs.get(tenant),
            }
            for tenant in sorted({*ours, *theirs})
        }
        return {"records": recollection.records, "seconds": round(took, 3), "tenants": tenants}


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to (default: stdout).")] = None,
    tenant: Tenant = None,
    project: Project = None,
) -> None:
    """Write all memories of a tenant, one JSON document a line. Subjects are keyed hashes."""
    settings = settings_of(project)
    whose = tenant or settings.mesh.tenant
    lines = [as_line(entry, whose) for entry in asyncio.run(_entries(settings, whose))]
    text = "".join(line + "\n" for line in lines)
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")
        typer.echo(f"{len(lines)} memories in {file}")


async def _entries(settings: Settings, tenant: str) -> list[Entry]:
    async with open_mesh(settings, _CLIENT) as mesh:
        recollection = await MemoryReading(mesh).recollect()
        return sorted(await recollection.entries(tenant), key=lambda entry: (scope_in(entry.scope), entry.valid_from))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Lines as 'export' writes them: text, and what is known of it.")],
    tenant: Tenant = None,
    wait: Wait = 60.0,
    project: Project = None,
) -> None:
    """Have memories remembered that were exported, or written by hand. The same file again changes nothing.

    A line needs ``text``; ``subject_name`` says whom it is about, where ``subject``, a keyed hash, is not known.
    """
    settings = settings_of(project)
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from None
    refused = asyncio.run(_import(settings, tenant or settings.mesh.tenant, lines, wait))
    for words in refused:
        typer.echo(words, err=True)
    typer.echo(f"{len(lines) - len(refused)} of {len(lines)} remembered")
    if refused:
        raise typer.Exit(1)


async def _import(settings: Settings, tenant: str, lines: list[str], wait: float) -> list[str]:
    async with open_mesh(settings, _CLIENT) as mesh:
        asking = MemoryAsking(mesh)
        sent = [await asking.remember(line, tenant) for line in lines]
        done = [await asking.answered(name, partition, wait) for name, partition in sent]
        return [event.error.message for event in done if event.error is not None]


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
