"""``aiosv3 task stuck|retry|fail|migrate``: tasks whose journal does not fit the code, and what to do about them."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Final

import typer

from aiosv3.agents.controls import fail_record, migrate_record, retry_record
from aiosv3.app.commands.options import Json, Project, settings_of
from aiosv3.app.commands.replay import open_tasks, report, try_one
from aiosv3.app.commands.task import Agent, HandleText, check_partition
from aiosv3.app.settings import Settings
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.records import JournalRecord
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.answers import journal_outgoing
from aiosv3.streams.tenure import appended

_SOURCE: Final = b"aiosv3/cli"


class NothingToMigrate(AiosError):
    """The code that is here fits the task's journal, or the task is not open."""


def stuck(agent: Agent, project: Project = None, as_json: Json = False) -> None:
    """List the open tasks that the code that is here cannot go on with. Exit code 1 if there are any.

    What workers of another version are stuck on, they log, and count in the metric aiosv3_tasks_stuck.
    """
    tried = [(handle, one) for handle, one in asyncio.run(open_tasks(settings_of(project), agent)) if not one.fits]
    report(tried, as_json=as_json)
    if tried:
        raise typer.Exit(1)


def retry(handle: HandleText, project: Project = None) -> None:
    """Try a stuck task again, where something outside its code was wrong. A restarted worker does so by itself."""
    place = TaskHandle.parse(handle)
    asyncio.run(_control(settings_of(project), place, retry_record(place.task_id, str(uuid.uuid4()))))
    typer.echo(f"{handle}: is tried again")


def fail(
    handle: HandleText,
    reason: Annotated[str, typer.Option("--reason", help="What its result says.")] = "an operator ended it",
    project: Project = None,
) -> None:
    """End an open task, stuck or not, with a failed result."""
    place = TaskHandle.parse(handle)
    asyncio.run(_control(settings_of(project), place, fail_record(place.task_id, reason, str(uuid.uuid4()))))
    typer.echo(f"{handle}: fails")


def migrate(handle: HandleText, project: Project = None) -> None:
    """Let a stuck task go on with the code that is here: it asks anew from the step on in which they differ.

    The answers that its journal has from there on are forgotten: models are called and paid again, functions, tools
    and other agents run again. Run it with the code that the workers have. Exit code 1 if it is not stuck.
    """
    settings, place = settings_of(project), TaskHandle.parse(handle)
    offset = asyncio.run(_diverged(settings, place))
    record = migrate_record(place.task_id, offset, str(uuid.uuid4()))
    asyncio.run(_control(settings, place, record))
    typer.echo(f"{handle}: asks anew from record {offset} of its journal on")


async def _diverged(settings: Settings, handle: TaskHandle) -> int:
    tried = await try_one(settings, handle)
    replayed = tried.replayed if tried is not None else None
    if replayed is None or replayed.diverged is None:
        where = "there is no record of it" if tried is None else replayed.words() if replayed else tried.unreadable
        raise NothingToMigrate(f"{handle} cannot be migrated to the code that is here: {where}")
    return replayed.diverged.offset


async def _control(settings: Settings, handle: TaskHandle, record: JournalRecord) -> None:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        topic = mesh.topics.journal(handle.agent)
        await check_partition(mesh, handle.agent, topic, handle.partition)
        await appended(mesh.log, journal_outgoing(mesh.codec, topic, handle.partition, record, _SOURCE))
