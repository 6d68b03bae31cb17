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

from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.reading import Reading
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import Mesh, open_mesh
from aiosv3.schemas import headers as names
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.answers import journal_outgoing
from aiosv3.streams.log import Headers, Outgoing
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
    project: Project = None,
) -> None:
    """Send one task event and print its handle."""
    if value == "-":
        value = sys.stdin.read()
    try:
        json.loads(value)
    except ValueError as error:
        raise SettingsError(f"--json is not JSON: {error}") from None
    added = [_header(text) for text in header or []]
    chosen = task_id or str(uuid.uuid4())
    event = TaskEvent(agent, chosen, key or chosen, value.encode(), added)
    typer.echo(str(asyncio.run(send_event(settings_of(project), event))))


def _header(text: str) -> tuple[str, bytes]:
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
        topic = mesh.topics.tasks(event.agent)
        await _partition(mesh, event.agent, topic, 0)
        record = Outgoing(topic, None, event.key.encode(), event.value, event_headers(event, datetime.now(UTC)))
        return TaskHandle(event.agent, (await appended(mesh.log, record)).partition, event.id)


async def _partition(mesh: Mesh, agent: str, topic: str, partition: int) -> None:
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
        await _partition(mesh, handle.agent, topic, handle.partition)
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
def cancel(handle: Handle, project: Project = None) -> None:
    """Cancel a task; it may even come before the task. Calls that are already routed may still be made."""
    asyncio.run(_cancel(settings_of(project), TaskHandle.parse(handle)))
    typer.echo(f"{handle}: cancel sent")


async def _cancel(settings: Settings, handle: TaskHandle) -> None:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        record = JournalRecord(handle.task_id, -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED)
        topic = mesh.topics.journal(handle.agent)
        await _partition(mesh, handle.agent, topic, handle.partition)
        await appended(mesh.log, journal_outgoing(mesh.codec, topic, handle.partition, record, b"aiosv3/cli"))
