"""``aiosv3 task send … --after|--cron`` and ``aiosv3 schedules list``: work that is started later."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.table import Table

from aiosv3.agents.client import Client, Handle, NoSuchAgent
from aiosv3.agents.opentasks import task_of
from aiosv3.agents.worker.sealing import Seals
from aiosv3.app.commands.console import console
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.partitions import Partitions
from aiosv3.app.reading import Reading
from aiosv3.app.schedules import PLACE, Ended, Schedule, next_firing, schedule, time_text
from aiosv3.app.sealing import client_ring
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import agent_setup, clock, open_mesh
from aiosv3.schemas import headers as names
from aiosv3.schemas.errors import WireError
from aiosv3.schemas.topics import TaskHandle

app = typer.Typer(help="Work that is started later: 'task send … --after' or '--cron'.", no_args_is_help=True)
After = Annotated[str | None, typer.Option("--after", help="Start it once, so long from now: 90s, 2h, 1d12h.")]
Cron = Annotated[
    str | None, typer.Option("--cron", help="Start it again and again: '0 7 * * 1-5'. End it with 'task cancel'.")
]
Timezone = Annotated[str, typer.Option("--timezone", help="Of --cron, such as Europe/Berlin.")]
_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_LENGTH: Final = re.compile(r"(?:\d+(?:\.\d+)?[wdhms])+")


def seconds_of(text: str) -> float:
    """``2h``, ``1d12h``, ``0.5s``. Raises :class:`SettingsError`."""
    if not _LENGTH.fullmatch(text):
        raise SettingsError(f"--after {text!r} is no length of time: write 90s, 15m, 2h, 1d12h or 2w")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([wdhms])", text))


@dataclass(frozen=True, slots=True)
class Later:
    """What the options of ``send`` say about time."""

    after: str | None = None
    cron: str | None = None
    timezone: str = "UTC"

    def __bool__(self) -> bool:
        return self.after is not None or self.cron is not None

    def plan(self, agent: str, text: bytes, key: str | None, cost_limit_usd: str | None) -> Schedule:
        """The input of the schedule that starts ``agent`` on ``text``. Raises :class:`SettingsError`."""
        fields = {
            "agent": agent,
            "input": json.loads(text),
            "cron": self.cron,
            "timezone": self.timezone,
            "after_seconds": None if self.after is None else seconds_of(self.after),
            "key": key,
            "cost_limit_usd": cost_limit_usd,
        }
        try:
            return Schedule.model_validate(fields)
        except ValidationError as error:
            words = "; ".join(found["msg"].removeprefix("Value error, ") for found in error.errors())
            raise SettingsError(f"this cannot be scheduled: {words}") from None

    async def start(
        self,
        client: Client,
        agent: str,
        text: bytes,
        *,
        key: str | None,
        task_id: str | None,
        headers: Mapping[str, str],
    ) -> Handle[Ended]:
        """Makes the schedule. Raises :class:`SettingsError` where nobody keeps any, NoSuchAgent for ``agent``."""
        onward = {name: value for name, value in headers.items() if name != names.CE_COSTLIMITUSD}
        plan = self.plan(agent, text, key, headers.get(names.CE_COSTLIMITUSD))
        try:
            await client.partitions(schedule.name)
        except NoSuchAgent:
            raise _nobody() from None
        await client.partitions(agent)
        return await client.start(schedule, plan, id=task_id, headers=onward)


def _nobody() -> SettingsError:
    return SettingsError(
        f'nobody keeps schedules here: add "{PLACE}" to agents in aiosv3.toml, '
        "then 'aiosv3 up' (or 'aiosv3 worker agent schedule')"
    )


@dataclass(frozen=True, slots=True)
class Open:
    """A schedule that is not over. Times in UTC."""

    handle: TaskHandle
    plan: Schedule
    since: datetime
    next: datetime | None

    def when(self) -> str:
        """The options that it was made with."""
        if self.plan.cron is not None:
            return f"{self.plan.cron} ({self.plan.timezone})"
        return f"once, after {timedelta(seconds=self.plan.after_seconds or 0)}"

    def row(self) -> dict[str, Any]:
        """As JSON."""
        plan = self.plan
        return {
            "schedule": str(self.handle),
            "agent": plan.agent,
            "cron": plan.cron,
            "timezone": plan.timezone if plan.cron is not None else None,
            "after_seconds": plan.after_seconds,
            "key": plan.key,
            "since": self.since.isoformat(),
            "next": None if self.next is None else self.next.isoformat(),
        }


@app.command("list")
def list_schedules(project: Project = None, as_json: Json = False) -> None:
    """The schedules that are open, soonest first. 'aiosv3 task cancel SCHEDULE' ends one."""
    found = sorted(asyncio.run(_open(settings_of(project))), key=lambda one: (one.next is None, one.next))
    if as_json:
        echo_json([one.row() for one in found])
        return
    if not found:
        typer.echo("no schedules")
        return
    table = Table()
    for column in ("schedule", "agent", "when", "next"):
        table.add_column(column, overflow="fold")
    for one in found:
        table.add_row(str(one.handle), one.plan.agent, one.when(), "never" if one.next is None else time_text(one.next))
    console().print(table)


async def _open(settings: Settings) -> list[Open]:
    return [one async for one in open_schedules(settings)]


async def open_schedules(settings: Settings) -> AsyncIterator[Open]:
    """Read from the topics: whether a worker runs does not matter. Raises :class:`SettingsError`."""
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        if not await Reading(mesh).exists(mesh.topics.tasks(schedule.name)):
            raise _nobody()
        setup = replace(agent_setup(mesh, schedule), seals=Seals(client_ring(mesh)))
        partitions, now = Partitions(mesh, setup), datetime.fromtimestamp(clock() / 1000, UTC)
        async for number, log in partitions.open_logs():
            for found in await partitions.found(log):
                if found.result is not None:
                    continue
                try:
                    task = await partitions.resolved(lambda: task_of(found.record, found.identity, setup))  # noqa: B023
                except WireError:
                    continue  # its worker says what is wrong with it, as its result
                if isinstance(task.value, Schedule) and task.value.part is None:
                    since = datetime.fromtimestamp(task.timestamp / 1000, UTC)
                    handle = TaskHandle(schedule.name, number, task.id)
                    yield Open(handle, task.value, since, next_firing(task.value, since, now))
