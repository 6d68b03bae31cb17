"""``aiosv3 memory …``: what agents remember, from a shell: found, shown, forgotten, checked, carried away."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from aiosv3.app.commands.memoryeval import evaluate_memory
from aiosv3.app.commands.memoryingest import ingest
from aiosv3.app.commands.memorylive import rebuild_live
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.memoryasking import MemoryAsking
from aiosv3.app.recollection import MemoryReading, NoSuchMemory, as_line, cited, moment_of
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import open_mesh
from aiosv3.memory.access import is_scope, scope_in
from aiosv3.memory.answers import receipt
from aiosv3.schemas.memory import KINDS

if TYPE_CHECKING:
    from aiosv3.memory.views.port import Entry
    from aiosv3.schemas.memory import MemoryEvent
    from aiosv3.streams.log import Record

app = typer.Typer(help="See what agents remember, and forget it.", no_args_is_help=True)
app.command("eval")(evaluate_memory)
app.command()(ingest)
_CLIENT: Final = "aiosv3-cli"
Tenant = Annotated[str | None, typer.Option("--tenant", help="Whose memory (default: the project's tenant).")]
Subject = Annotated[str | None, typer.Option("--subject", help="Whom or what it is about.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="TIME|PARTITION:OFFSET,…",
        help="What was known then: at a time (UTC), or before these events.",
    ),
]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait until it is done.")]


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What is looked for; without it the newest are shown.")] = "",
    k: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 10,
    subject: Subject = None,
    scope: Annotated[str | None, typer.Option("--scope", help="Only tenant, team:NAME or agent:NAME.")] = None,
    as_of: AsOf = None,
    kind: Annotated[str | None, typer.Option("--kind", help=f"Only one of {', '.join(KINDS)}.")] = None,
    min_trust: Annotated[int, typer.Option("--min-trust", min=0, max=2, help="1: without what is in quarantine.")] = 0,
    tenant: Tenant = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Find memories by their words, in all scopes and classes. Reads the whole log: no worker is needed."""
    if kind is not None and kind not in KINDS:
        raise SettingsError(f"--kind is one of {', '.join(KINDS)}, not {kind!r}")
    if scope is not None and not is_scope(scope):
        raise SettingsError(f"--scope is tenant, team:NAME or agent:NAME, not {scope!r}")
    asked = _Asked(query, k, subject, scope, kind, min_trust)
    found = asyncio.run(_search(settings_of(project), tenant, asked, moment_of(as_of)))
    if as_json:
        echo_json(found)
        return
    # No table: an id, and a chunk of a document, are longer than a column.
    for one in found:
        typer.echo(f"{one['id']}  {one['scope']}  {one['kind']}  {_moment(one['valid_from'])}{_distrust(one['trust'])}")
        typer.echo("\n".join(f"  {line}".rstrip() for line in one["text"].splitlines()))
        typer.echo("  ".join(filter(None, ("  --", one["source"], one["citation"]))) + "\n")
    if not found:
        typer.echo("Nothing like that is remembered.")


def _distrust(trust: int) -> str:
    return "" if trust else "  [quarantine]"


class _Asked(NamedTuple):
    text: str
    k: int
    subject: str | None
    scope: str | None
    kind: str | None
    min_trust: int


async def _search(
    settings: Settings, tenant: str | None, asked: _Asked, moment: int | dict[int, int] | None
) -> list[dict[str, Any]]:
    from aiosv3.memory.views.port import Query

    text, k, subject, scope, kind, min_trust = asked
    whose = tenant or settings.mesh.tenant
    async with open_mesh(settings, _CLIENT) as mesh:
        memory = MemoryReading(mesh)
        recollection = await memory.recollect(moment)
        about = None if subject is None else memory.subject(whose, subject)
        scopes = [] if scope is None else [scope]
        kinds = None if kind is None else [kind]
        query = Query(whose, scopes, text, k=k, kinds=kinds, subject=about, min_trust=min_trust)
        events = mesh.topics.memory_events()
        return [cited(hit.entry, events, hit.score) for hit in await recollection.found(query)]


@app.command()
def show(
    memory_id: Annotated[str, typer.Argument(help="Its id.")], tenant: Tenant = None, project: Project = None
) -> None:
    """Print one memory as JSON."""
    echo_json(asyncio.run(_show(settings_of(project), tenant, memory_id)))


async def _show(settings: Settings, tenant: str | None, memory_id: str) -> dict[str, Any]:
    async with open_mesh(settings, _CLIENT) as mesh:
        recollection = await MemoryReading(mesh).recollect()
        found = await recollection.entries(tenant or settings.mesh.tenant, [memory_id])
        if not found:
            raise NoSuchMemory(
                f"there is no memory {memory_id!r} now: 'aiosv3 memory history' shows what was said of it"
            )
        return cited(found[0], mesh.topics.memory_events())


@app.command()
def history(
    memory_id: Annotated[str | None, typer.Argument(help="The id of one memory.")] = None,
    subject: Subject = None,
    tenant: Tenant = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print all that was said of a memory, or of a subject, oldest first: what was remembered, and forgotten."""
    if (memory_id is None) == (subject is None):
        raise SettingsError("name either a memory, by its id, or a --subject")
    told = asyncio.run(_history(settings_of(project), tenant, memory_id, subject))
    if as_json:
        echo_json(told)
        return
    if not told:
        typer.echo("Nothing was said of it.")
    for one in told:
        typer.echo(f"{_moment(one['recorded_at'])}  {one['action']:<8}  {one['id'] or ''}  {one['text']}")


async def _history(
    settings: Settings, tenant: str | None, memory_id: str | None, subject: str | None
) -> list[dict[str, Any]]:
    whose = tenant or settings.mesh.tenant
    async with open_mesh(settings, _CLIENT) as mesh:
        memory = MemoryReading(mesh)
        recollection = await memory.recollect()
        about = None if subject is None else memory.subject(whose, subject)
        events = [
            event
            for (owner, _), said in recollection.events.items()
            for event in said
            if owner == whose and (event[1].subject == about if memory_id is None else event[1].memory_id == memory_id)
        ]
        events.sort(key=lambda event: (event[0].timestamp, event[0].offset))
        return [_told(record, event, await memory.said(event)) for record, event in events]


def _told(record: Record, event: MemoryEvent, text: str) -> dict[str, Any]:
    return {
        "action": event.action.value.lower(),
        "id": event.memory_id,
        "scope": event.scope,
        "kind": event.kind,
        "text": text,
        "task": event.task_id,
        "agent": event.agent,
        "recorded_at": record.timestamp,
        "partition": record.partition,
        "offset": record.offset,
    }


@app.command()
def forget(
    memory_id: Annotated[str | None, typer.Argument(help="The id of one memory.")] = None,
    subject: Subject = None,
    task: Annotated[str | None, typer.Option("--task", help="All that this task had remembered.")] = None,
    tenant: Tenant = None,
    wait: Wait = 30.0,
    project: Project = None,
) -> None:
    """Forget one memory, all of a subject in all scopes, or all that came from a task. Prints a receipt, as JSON.

    The receipt says store by store how it ends there, and what a read of the whole log finds afterwards.
    """
    if [memory_id, subject, task].count(None) != 2:
        raise SettingsError("name either a memory, by its id, or a --subject, or a --task")
    settings = settings_of(project)
    whose = tenant or settings.mesh.tenant
    if task is not None:
        echo_json(asyncio.run(_undo(settings, whose, task, wait)))
    else:
        echo_json(asyncio.run(_forget(settings, whose, memory_id, subject, wait)))


async def _forget(
    settings: Settings, tenant: str, memory_id: str | None, subject: str | None, wait: float
) -> dict[str, Any]:
    async with open_mesh(settings, _CLIENT) as mesh:
        done = await MemoryAsking(mesh).forget(tenant, subject, memory_id, wait)
        recollection = await MemoryReading(mesh).recollect()
        left = [
            name
            for name, known in recollection.held(tenant).items()
            if (name == memory_id if subject is None else known.subject == done.subject)
        ]
        return {**receipt(done), "left_after_replay": left}


async def _undo(settings: Settings, tenant: str, task: str, wait: float) -> dict[str, Any]:
    """One by one: each lies in the place of what it is about."""
    async with open_mesh(settings, _CLIENT) as mesh:
        memory, asking = MemoryReading(mesh), MemoryAsking(mesh)
        gone = (await memory.recollect()).of_task(tenant, task)
        for memory_id in gone:
            await asking.forget(tenant, None, memory_id, wait)
        left = (await memory.recollect()).of_task(tenant, task)
        return {"task": task, "forgotten": gone, "left_after_replay": left}


@app.command()
def quarantine(
    source: Annotated[str | None, typer.Option("--source", help="A document, or a conversation.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="A task, by its id.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Let it out again, with the trust that it had.")] = False,
    tenant: Tenant = None,
    wait: Wait = 30.0,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Trust nothing any more that came, or will come, from one source or task: found only with a trust of 0.

    Nothing is lost: it can be undone, and what was known at an earlier time is shown as it was known.
    """
    if (source is None) == (task is None):
        raise SettingsError("name either a --source or a --task")
    settings = settings_of(project)
    whose = tenant or settings.mesh.tenant
    ids = asyncio.run(_quarantine(settings, whose, (source, task), wait, on=not undo))
    if as_json:
        echo_json({"source": source, "task": task, "quarantined": not undo, "memories": ids})
    else:
        typer.echo(f"{len(ids)} memories are {'out of' if undo else 'in'} quarantine")


async def _quarantine(
    settings: Settings, tenant: str, named: tuple[str | None, str | None], wait: float, *, on: bool
) -> list[str]:
    source, task = named
    async with open_mesh(settings, _CLIENT) as mesh:
        await MemoryAsking(mesh).quarantine(tenant, source, task, wait, on=on)
        recollection = await MemoryReading(mesh).recollect()
        if task is not None:
            return recollection.of_task(tenant, task)
        return [entry.id for entry in await recollection.entries(tenant) if entry.source == source]


@app.command()
def rebuild(
    live: Annotated[bool, typer.Option("--live", help="Have the running workers build their views anew.")] = False,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the workers.")] = 600.0,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Build memory from its log, and from its states, and compare: count and hash of each tenant.

    No model is called. Exit code 1 where they differ. A worker builds its own view from the log whenever it starts;
    with --live now, beside the one that answers, and changes to it if both are equal.
    """
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
