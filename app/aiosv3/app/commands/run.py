"""``aiosv3 run``: give an agent a task, watch it work, and get its result."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

import typer

from aiosv3.agents.client import Client, Ended, Handle, NotFinished
from aiosv3.app.commands.options import Json, Project, settings_of
from aiosv3.app.commands.task import (
    UNFINISHED,
    Agent,
    Header,
    Key,
    TaskId,
    Timeout,
    Who,
    followed,
    headers_of,
    json_of,
    tell_end,
    with_client,
)
from aiosv3.app.eventlines import EventLines

_INTERRUPTED: Final = 130


class _Run:
    """One run; ``handle`` is known once the task is on the log, also to whoever interrupts it."""

    def __init__(self, agent: str, value: str, options: dict[str, Any], timeout: float | None) -> None:
        self._agent = agent
        self._value = json_of(value, "the input")
        self._options = options
        self._timeout = timeout
        self.handle: Handle[Any] | None = None

    async def work(self, client: Client) -> Ended[Any] | None:
        """How it ended; None: not in time."""
        shows = sys.stderr.isatty()
        handle = self.handle = await client.start(self._agent, self._value, stream=shows, **self._options)
        if shows:
            return await followed(handle, EventLines(sys.stderr, handle.id).show, self._timeout)
        try:
            return await handle.ended(timeout=self._timeout)
        except NotFinished:
            return None


def run(
    agent: Agent,
    value: Annotated[str, typer.Argument(metavar="INPUT", help="Its input, as JSON; '-' reads it from stdin.")],
    key: Key = None,
    task_id: TaskId = None,
    header: Header = None,
    who: Who = None,
    timeout: Timeout = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Give an agent a task and wait for its result. Exit code 1 if it failed, 3 if it is not finished in time.

    On a terminal its progress and the words of its models are shown meanwhile, on stderr. Ctrl-C leaves it running.
    """
    running = _Run(agent, value, {"key": key, "id": task_id, "headers": headers_of(header, who)}, timeout)
    try:
        ended = with_client(settings_of(project), running.work)
    except KeyboardInterrupt:
        if running.handle is None:
            raise
        _goes_on(running.handle)
        raise typer.Exit(_INTERRUPTED) from None
    if ended is None and running.handle is not None and not as_json:
        _goes_on(running.handle)
        raise typer.Exit(UNFINISHED)
    tell_end(str(running.handle), ended, as_json=as_json)


def _goes_on(handle: Handle[Any]) -> None:
    typer.echo(
        f"{handle} is not finished and goes on\n"
        f"  to get its result: aiosv3 task get {handle} --wait 60\n"
        f"  to stop it:        aiosv3 task cancel {handle}",
        err=True,
    )
