"""``aiosv3 task …``: give work to an agent and get its result, from a shell."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from aiosv3.agents.mailbox import message_record
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.people import user_name
from aiosv3.app.reading import Reading
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import Mesh, open_mesh
from aiosv3.schemas import headers as names
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.answers import journal_outgoing
from aiosv3.streams.log import Appended, Headers, Outgoing
from aiosv3.streams.tenure import appended

app = typer.Typer(help="Send tasks to agents, look at them, cancel them.", no_args_is_help=True)
_POLL_S: Final = 0.1
_UNFINISHED: Final = 3
Agent = Annotated[str, typer.Argument(help="Name of the agent.")]
Handle = Annotated[str, typer.Argument(help="What 'task send' printed: agent:partition:task_id.")]


@app.command()
def send(
    agent: Agent,
    value: Annotated[str, typer.Option("--json", help="The task's input, as JSON; '-' reads it from stdin.")],
    key: Annotated[str | None, typer.Option("--key", help="Task key: tasks of one key keep their order.")] = None,
    task_id: Annotated[str | None, typer.Option("--id", help="The same id twice is the same task.")] = None,
    header: Annotated[list[str] | None, typer.Option("--header", help="name=value, may be repeated.")] = None,
    who: Annotated[str | None, typer.Option("--as", help="Who starts it (default: who is logged in).")] = None,
    project: Project = None,
) -> None:
    """Send one task event and print its handle. Who starts a task cannot approve what it asks for."""
    text = _json(value, "--json")
    by = who if who is not None else user_name()
    added = [(names.CE_AUTHID, by.encode())] if by else []
    added += [header_of(text) for text in header or []]
    chosen = task_id or str(uuid.uuid4())
    event = TaskEvent(agent, chosen, key or chosen, text.encode(), added)
    typer.echo(str(asyncio.run(send_event(settings_of(project), event))))


def _json(given: str, where: str) -> str:
    text = sys.stdin.read() if given == "-" else given
    try:
        json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{where} is not JSON: {error}") from None
    return text


def header_of(text: str) -> tuple[str, bytes]:
    """``name=value`` of an option. Raises :class:`SettingsError`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise SettingsError(f"--header {text!r} is not name=value")
    if name == names.CE_ID:
        raise SettingsError("--header ce_id: the task's id is chosen with --id")
    return name, value.encode()


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """A task as an outsider sends it: JSON and CloudEvents headers."""

    agent: str
    id: str
    key: str
    value: bytes
    headers: Headers


def event_headers(event: TaskEvent, now: datetime) -> Headers:
    """CloudEvents in binary mode; a header that the sender gives takes the place of ours."""
    ours = {
        names.CE_ID: event.id.encode(),
        names.CE_SOURCE: b"aiosv3/cli",
        names.CE_TYPE: f"aiosv3.task.{event.agent}".encode(),
        names.CE_SPECVERSION: names.SPECVERSION.encode(),
        names.CONTENT_TYPE: names.CONTENT_JSON.encode(),
        names.CE_TIME: now.isoformat().encode(),
    }
    return list({**ours, **dict(event.headers)}.items())


async def send_event(settings: Settings, event: TaskEvent) -> TaskHandle:
    """Appends the event; the handle carries the partition, so that the result and a cancel find it."""
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        await check_partition(mesh, event.agent, mesh.topics.tasks(event.agent), 0)
        return TaskHandle(event.agent, (await append_event(mesh, event)).partition, event.id)


async def append_event(mesh: Mesh, event: TaskEvent) -> Appended:
    """Where the event is, and since when (broker time)."""
    headers = event_headers(event, datetime.now(UTC))
    return await appended(
        mesh.log, Outgoing(mesh.topics.tasks(event.agent), None, event.key.encode(), event.value, headers)
    )


async def check_partition(mesh: Mesh, agent: str, topic: str, partition: int) -> None:
    """Raises :class:`SettingsError` where the broker does not have this partition of an agent's topic."""
    count = await Reading(mesh).partitions(topic)
    if count == 0:
        raise SettingsError(
            f"there is no agent {agent!r} at {mesh.connection.bootstrap} (no topic {topic}): start it with "
            f"'aiosv3 up' or 'aiosv3 worker agent {agent}', or correct its name"
        )
    if partition >= count:
        raise SettingsError(
            f"{topic} has {count} partitions, so there is no {partition}: use the handle as 'task send' printed it"
        )


@app.command()
def get(
    handle: Handle,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the result.")] = 0.0,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print a task's result. Exit code 1 if it failed, 3 if it is not finished."""
    found = asyncio.run(_get(settings_of(project), TaskHandle.parse(handle), wait))
    if found is None:
        if as_json:
            echo_json({"task": handle, "outcome": None})
        else:
            typer.echo(f"{handle} is not finished", err=True)
        raise typer.Exit(_UNFINISHED)
    if as_json:
        echo_json(found)
    elif found["outcome"] == Outcome.OK.value:
        typer.echo(json.dumps(found["output"], ensure_ascii=False, indent=2, default=str))
    else:
        error = found["error"] or {}
        typer.echo(f"{found['outcome']}: {error.get('type', '')}: {error.get('message', '')}", err=True)
    if found["outcome"] != Outcome.OK.value:
        raise typer.Exit(1)


async def _get(settings: Settings, handle: TaskHandle, wait: float) -> dict[str, Any] | None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        reading = Reading(mesh)
        topic = mesh.topics.results(handle.agent)
        await check_partition(mesh, handle.agent, topic, handle.partition)
        position = 0
        while True:
            position, found = await reading.find(topic, handle.partition, handle.task_id, position)
            if found is not None:
                result = await reading.decoded(found)
                output = result.pop("content", None)
                return {**result, "output": output, "task": str(handle)}
            if loop.time() >= deadline:
                return None
            await asyncio.sleep(_POLL_S)


@app.command()
def tell(
    handle: Handle,
    name: Annotated[str, typer.Argument(help="Name of the message, as the agent receives it.")],
    content: Annotated[str, typer.Argument(help="The message, as JSON; '-' reads it from stdin.")],
    message_id: Annotated[str | None, typer.Option("--id", help="The same id twice is the same message.")] = None,
    project: Project = None,
) -> None:
    """Send a message to a task; it waits until the task asks for it, and may even come before the task."""
    chosen = message_id or str(uuid.uuid4())
    text = _json(content, "the message")
    asyncio.run(_tell(settings_of(project), TaskHandle.parse(handle), name, text, chosen))
    typer.echo(f"{handle}: message {chosen} sent")


async def _tell(settings: Settings, handle: TaskHandle, name: str, content: str, message_id: str) -> None:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        topic = mesh.topics.journal(handle.agent)
        await check_partition(mesh, handle.agent, topic, handle.partition)
        record = message_record(handle.task_id, name, content, message_id)
        await appended(mesh.log, journal_outgoing(mesh.codec, topic, handle.partition, record, b"aiosv3/cli"))


@app.command()
def cancel(handle: Handle, project: Project = None) -> None:
    """Cancel a task; it may even come before the task. Calls that are already routed may still be made."""
    asyncio.run(_cancel(settings_of(project), TaskHandle.parse(handle)))
    typer.echo(f"{handle}: cancel sent")


async def _cancel(settings: Settings, handle: TaskHandle) -> None:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        await check_partition(mesh, handle.agent, mesh.topics.journal(handle.agent), handle.partition)
        await append_cancel(mesh, handle)


async def append_cancel(mesh: Mesh, handle: TaskHandle) -> None:
    """Asks for the task's end; nothing happens where it has ended."""
    record = JournalRecord(handle.task_id, -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED)
    topic = mesh.topics.journal(handle.agent)
    await appended(mesh.log, journal_outgoing(mesh.codec, topic, handle.partition, record, b"aiosv3/cli"))
