"""``aiosv3 memory forget`` and ``quarantine``: what is to be known no more, and what is not to be trusted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from aiosv3.app.commands.memoryoptions import Subject, Tenant, Wait
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.memoryasking import MemoryAsking
from aiosv3.app.plaininputs import FINISHED_S, Deleted, PlainInputs
from aiosv3.app.receipts import StoreEnd, Target, date, store_ends
from aiosv3.app.recollection import MemoryReading, Recollection
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.memory import MemoryAction
from aiosv3.streams.kafka.overview import Overview

if TYPE_CHECKING:
    from aiosv3.schemas.memory import MemoryEvent

_CLIENT: Final = "aiosv3-cli"
_POLL_S: Final = 0.3


def forget(
    memory_id: Annotated[str | None, typer.Argument(help="The id of one memory.")] = None,
    subject: Subject = None,
    task: Annotated[str | None, typer.Option("--task", help="All that this task had remembered.")] = None,
    delete_tasks: Annotated[
        bool,
        typer.Option(
            "--delete-tasks",
            help="Delete what outsiders produced about the subject into tasks.*, with what stands in front of it.",
        ),
    ] = False,
    finished_for: Annotated[
        float,
        typer.Option(
            "--finished-for",
            min=0,
            metavar="SECONDS",
            help="Delete only inputs of tasks that ended so long ago. Less is safe while no worker of theirs hangs.",
        ),
    ] = FINISHED_S,
    tenant: Tenant = None,
    wait: Wait = 30.0,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Forget one memory, all of a subject in all scopes, or all that came from a task. Prints a receipt.

    The receipt says topic by topic and store by store how it ends there, and when at the latest; and what a read of
    the whole log finds afterwards (exit code 1 where that is anything).
    """
    if [memory_id, subject, task].count(None) != 2:
        raise SettingsError("name either a memory, by its id, or a --subject, or a --task")
    if delete_tasks and subject is None:
        raise SettingsError("--delete-tasks needs a --subject: task events name whom they are about, not a memory")
    settings = settings_of(project)
    whose = tenant or settings.mesh.tenant
    if task is not None:
        told = asyncio.run(_undo(settings, whose, task, wait))
    else:
        after = finished_for if delete_tasks else None
        told = asyncio.run(_forget(settings, whose, (memory_id, subject), wait, after))
    if as_json:
        echo_json(told)
    else:
        typer.echo("\n".join(_readable(told)))
    if told["left_after_replay"]:
        raise typer.Exit(1)


async def _forget(
    settings: Settings, tenant: str, named: tuple[str | None, str | None], wait: float, finished_for: float | None
) -> dict[str, Any]:
    memory_id, subject = named
    async with open_mesh(settings, _CLIENT) as mesh:
        done = await MemoryAsking(mesh).forget(tenant, subject, memory_id, wait)
        deleted = None
        if subject is not None and finished_for is not None:
            deleted = await _deleted(PlainInputs(mesh, tenant, subject), wait, finished_for)
        memory = MemoryReading(mesh)
        recollection = await memory.recollect()
        since = settings.sealing.since
        whole, sealed = memory_id is None, None if since is None else since.label
        target = Target(whole, sealed, _in_plain(recollection, tenant, done))
        ends = await store_ends(Overview(mesh.connection), settings, mesh.topics, target)
        return {
            "subject": done.subject,
            "id": done.memory_id,
            "shredded": list(done.shredded),
            "stores": [end.to_json() for end in ends],
            "tasks": None if deleted is None else [one.to_json() for one in deleted],
            "left_after_replay": _left(recollection, tenant, done),
        }


def _is_about(event: MemoryEvent, done: MemoryEvent) -> bool:
    return event.memory_id == done.memory_id if done.memory_id is not None else event.subject == done.subject


def _in_plain(recollection: Recollection, tenant: str, done: MemoryEvent) -> int:
    """Events with the text of what was forgotten in plain, whoever sealed what when they were written."""
    said = [event for (owner, _), events in recollection.events.items() if owner == tenant for _, event in events]
    return sum(
        event.action is MemoryAction.REMEMBER and isinstance(event.content, str) and _is_about(event, done)
        for event in said
    )


def _left(recollection: Recollection, tenant: str, done: MemoryEvent) -> list[str]:
    held = recollection.held(tenant).items()
    return [
        name for name, known in held if (name == done.memory_id if done.memory_id else known.subject == done.subject)
    ]


async def _deleted(inputs: PlainInputs, wait: float, finished_for: float) -> list[Deleted]:
    """Open tasks of the subject end within seconds: until then, or until ``wait`` is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    done: dict[tuple[str, int], Deleted] = {}
    while True:
        for one in await inputs.delete(finished_for):
            place = one.topic, one.partition
            done[place] = one.after(done.get(place))
        if loop.time() >= deadline or all(not one.left or one.again is not None for one in done.values()):
            return list(done.values())
        await asyncio.sleep(_POLL_S)


async def _undo(settings: Settings, tenant: str, task: str, wait: float) -> dict[str, Any]:
    """One by one: each lies in the place of what it is about."""
    async with open_mesh(settings, _CLIENT) as mesh:
        memory, asking = MemoryReading(mesh), MemoryAsking(mesh)
        gone = (await memory.recollect()).of_task(tenant, task)
        for memory_id in gone:
            await asking.forget(tenant, None, memory_id, wait)
        left = (await memory.recollect()).of_task(tenant, task)
        return {"task": task, "forgotten": gone, "left_after_replay": left}


def _readable(told: dict[str, Any]) -> list[str]:
    if "task" in told:
        return [
            f"{len(told['forgotten'])} memories that task {told['task']} had remembered are forgotten",
            *_rest(told),
        ]
    what = f"memory {told['id']}" if told["id"] else f"subject {told['subject']}"
    lines = [f"{what} is forgotten; {len(told['shredded'])} keys are shredded", ""]
    lines += [_line(StoreEnd(**{name: one[name] for name in StoreEnd.__dataclass_fields__})) for one in told["stores"]]
    for one in told["tasks"] or []:
        gone = f"{one['about']} inputs about it are deleted, and {one['others']} in front of them"
        left = f"; {one['left']} are left: {one['why']}" if one["left"] else ""
        again = f", again after {date(one['again'])}" if one["again"] else ""
        lines.append(f"{one['topic']}[{one['partition']}]: {gone}{left}{again}")
    return [*lines, "", *_rest(told)]


def _line(end: StoreEnd) -> str:
    by = f" by {date(end.by)}" if end.by is not None else ""
    return f"{end.store}: {end.how}{by}" + (f" ({end.why})" if end.why else "")


def _rest(told: dict[str, Any]) -> list[str]:
    left = told["left_after_replay"]
    return [
        f"STILL THERE after a read of the whole log: {', '.join(left)}"
        if left
        else "A read of the whole log finds nothing of it."
    ]


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
