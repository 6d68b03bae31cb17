"""``aiosv3 task …``: give work to an agent and get its result, from a shell."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, Any, Final, TypeVar

import typer

from aiosv3.agents.client import Client, Ended, Finished, Handle, NoSuchAgent, NoSuchPartition, NotFinished, RawJson
from aiosv3.app.clients import open_client
from aiosv3.app.commands.completion import agent_names
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.commands.schedules import After, Cron, Later, Timezone
from aiosv3.app.eventlines import EventLines
from aiosv3.app.people import user_name
from aiosv3.app.reading import Reading
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import Mesh
from aiosv3.schemas import headers as names
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.topics import TaskHandle

app = typer.Typer(help="Send tasks to agents, look at them, cancel them.", no_args_is_help=True)
UNFINISHED: Final = 3
CLI: Final = "aiosv3-cli"
_SOURCE: Final = "aiosv3/cli"
T = TypeVar("T")
Agent = Annotated[str, typer.Argument(help="Name of the agent.", autocompletion=agent_names)]
HandleText = Annotated[str, typer.Argument(metavar="HANDLE", help="What 'task send' printed: agent:partition:task_id.")]
Key = Annotated[str | None, typer.Option("--key", help="Task key: tasks of one key keep their order.")]
TaskId = Annotated[str | None, typer.Option("--id", help="The same id twice is the same task.")]
Header = Annotated[list[str] | None, typer.Option("--header", help="name=value, may be repeated.")]
Who = Annotated[str | None, typer.Option("--as", help="Who starts it (default: who is logged in).")]
Timeout = Annotated[float | None, typer.Option("--timeout", min=0, help="Seconds; then it goes on without you.")]


@app.command()
def send(
    agent: Agent,
    value: Annotated[str, typer.Option("--json", help="The task's input, as JSON; '-' reads it from stdin.")],
    key: Key = None,
    task_id: TaskId = None,
    header: Header = None,
    who: Who = None,
    after: After = None,
    cron: Cron = None,
    timezone: Timezone = "UTC",
    project: Project = None,
) -> None:
    """Send one task event and print its handle. Who starts a task cannot approve what it asks for."""
    raw, headers, later = json_of(value, "--json"), headers_of(header, who), Later(after, cron, timezone)

    async def work(client: Client) -> str:
        if later:
            return str(await later.start(client, agent, raw, key=key, task_id=task_id, headers=headers))
        return str(await client.start(agent, raw, key=key, id=task_id, headers=headers))

    typer.echo(with_client(settings_of(project), work))


def with_client(settings: Settings, work: Callable[[Client], Awaitable[T]]) -> T:
    """What ``work`` gives, with a client that is open for it."""

    async def run() -> T:
        async with open_client(settings, CLI) as client:
            return await work(client)

    return asyncio.run(run())


def json_of(given: str, where: str) -> RawJson:
    """JSON of the command line; ``-`` is stdin. Raises :class:`SettingsError`."""
    text = sys.stdin.read() if given == "-" else given
    try:
        json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{where} is not JSON: {error}") from None
    return RawJson(text.encode())


def headers_of(given: list[str] | None, who: str | None) -> dict[str, str]:
    """Headers of a task event; what is said on the command line takes the place of ours."""
    by = who if who is not None else user_name()
    ours = {names.CE_SOURCE: _SOURCE, **({names.CE_AUTHID: by} if by else {})}
    return ours | {name: value.decode() for name, value in map(header_of, given or [])}


def header_of(text: str) -> tuple[str, bytes]:
    """``name=value`` of an option. Raises :class:`SettingsError`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise SettingsError(f"--header {text!r} is not name=value")
    if name == names.CE_ID:
        raise SettingsError("--header ce_id: the task's id is chosen with --id")
    return name, value.encode()


async def check_partition(mesh: Mesh, agent: str, topic: str, partition: int) -> None:
    """Raises NoSuchAgent, NoSuchPartition where the broker does not have this partition of an agent's topic."""
    count = await Reading(mesh).partitions(topic)
    if count == 0:
        raise NoSuchAgent(agent, topic, mesh.connection.bootstrap)
    if partition >= count:
        raise NoSuchPartition(topic, count, partition)


@app.command()
def get(
    handle: HandleText,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the result.")] = 0.0,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print a task's result. Exit code 1 if it failed, 3 if it is not finished."""

    async def work(client: Client) -> Ended[Any] | None:
        try:
            return await client.handle(handle).ended(timeout=wait)
        except NotFinished:
            return None

    tell_end(handle, with_client(settings_of(project), work), as_json=as_json)


def tell_end(handle: str, ended: Ended[Any] | None, *, as_json: bool) -> None:
    """Prints how a task ended, and ends with the exit code that says so."""
    if ended is None:
        if as_json:
            echo_json({"task": handle, "outcome": None})
        else:
            typer.echo(f"{handle} is not finished", err=True)
        raise typer.Exit(UNFINISHED)
    if as_json:
        echo_json(ended.fields)
    elif ended.outcome is Outcome.OK:
        typer.echo(json.dumps(ended.fields["output"], ensure_ascii=False, indent=2, default=str))
    else:
        error = ended.fields["error"] or {}
        typer.echo(f"{ended.outcome}: {error.get('type', '')}: {error.get('message', '')}", err=True)
    if ended.outcome is not Outcome.OK:
        raise typer.Exit(1)


@app.command()
def watch(
    handle: HandleText,
    after: Annotated[str | None, typer.Option("--after", help="Cursor of the last event that was seen.")] = None,
    timeout: Timeout = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print what happens to a task until it ends: its start, progress, questions, a model's words, the result.

    With --json one event a line. Exit code 1 if it failed, 3 if it is not finished in time.
    """

    async def work(client: Client) -> Ended[Any] | None:
        found = client.handle(handle)
        lines = EventLines(sys.stdout, found.id)
        show = (lambda event: echo_json(event.as_json())) if as_json else lines.show
        return await followed(found, show, timeout, after)

    ended = with_client(settings_of(project), work)
    if not as_json or ended is None:
        tell_end(handle, ended, as_json=as_json)
    elif ended.outcome is not Outcome.OK:
        raise typer.Exit(1)


async def followed(
    handle: Handle[Any], show: Callable[[Any], None], timeout: float | None, after: str | None = None
) -> Ended[Any] | None:
    """Shows the events of a task; how it ended, None after ``timeout`` seconds."""
    try:
        async with asyncio.timeout(timeout), aclosing(handle.events(after=after)) as events:
            async for event in events:
                show(event)
                if isinstance(event, Finished):
                    break
    except TimeoutError:
        return None
    return await handle.ended()


@app.command()
def tell(
    handle: HandleText,
    name: Annotated[str, typer.Argument(help="Name of the message, as the agent receives it.")],
    content: Annotated[str, typer.Argument(help="The message, as JSON; '-' reads it from stdin.")],
    message_id: Annotated[str | None, typer.Option("--id", help="The same id twice is the same message.")] = None,
    project: Project = None,
) -> None:
    """Send a message to a task; it waits until the task asks for it, and may even come before the task."""
    chosen, raw = message_id or str(uuid.uuid4()), json_of(content, "the message")
    with_client(settings_of(project), lambda client: client.handle(handle).send(name, raw, id=chosen))
    typer.echo(f"{handle}: message {chosen} sent")


@app.command()
def cancel(handle: HandleText, project: Project = None) -> None:
    """Cancel a task; it may even come before the task. Calls that are already routed may still be made."""
    TaskHandle.parse(handle)
    with_client(settings_of(project), lambda client: client.handle(handle).cancel())
    typer.echo(f"{handle}: cancel sent")
