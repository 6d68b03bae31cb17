"""Schedules: an agent that gives work to another agent later, once or again and again.

A schedule is a task like any other: it sleeps on the log, so a restart of every process in between changes nothing.
What it starts is a tree of its own, ``SCHEDULE/2026-11-30T07:00Z``, under the limits of the agent that does it. Its
journal stays short: its times are fired by child tasks, fifty each, fifty of which are one child again.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from aiosv3.agents import Context, Limits, agent
from aiosv3.agents.agent import parse_usd
from aiosv3.app.cron import Times, next_time, times

PLACE: Final = "aiosv3.app.schedules:schedule"
"""How a project's ``agents`` names it."""
_SPAN: Final = 50
_LEVELS: Final = 2
_LIFE: Final = Limits(deadline=timedelta(days=36_500), fan_out=_SPAN + 10)


class Part(BaseModel):
    """Which times of a long schedule a child of it fires."""

    schedule: str
    levels: int
    due: AwareDatetime


class Schedule(BaseModel):
    """What is to be started, and when: either ``cron`` or ``after_seconds``."""

    agent: Annotated[str, Field(description="the agent that gets the work")]
    input: Annotated[Any, Field(description="its input")]
    cron: Annotated[str | None, Field(description="minute hour day month weekday, such as 0 7 * * 1-5")] = None
    timezone: Annotated[str, Field(description="of the cron expression, such as Europe/Berlin")] = "UTC"
    after_seconds: Annotated[float | None, Field(ge=0, description="once, so long after this task came in")] = None
    key: Annotated[str | None, Field(description="task key of what is started; its own id if there is none")] = None
    cost_limit_usd: Annotated[Decimal | None, Field(description="what each task that is started may cost")] = None
    part: Annotated[Part | None, Field(description="set by the schedule itself")] = None

    @model_validator(mode="after")
    def _can_be_done(self) -> Schedule:
        if (self.cron is None) == (self.after_seconds is None):
            raise ValueError("say when: either cron or after_seconds")
        if self.cost_limit_usd is not None:
            parse_usd(self.cost_limit_usd)
        if self.cron is not None and next_time(self.cron, self.timezone, datetime.now(UTC)) is None:
            raise ValueError(f"{self.cron!r} never comes")
        return self


class Ended(BaseModel):
    """``started``: handle of the last task that was started; ``due``: the time that would follow."""

    started: str | None = None
    due: AwareDatetime | None = None


@agent(limits=_LIFE, order="none")
async def schedule(ctx: Context, plan: Schedule) -> Ended:
    """Gives work to another agent later, or at the times of a cron expression."""
    if plan.after_seconds is not None:
        due = ctx.now() + timedelta(seconds=plan.after_seconds)
        await asyncio.sleep(plan.after_seconds)
        return Ended(started=await _start(ctx, plan, ctx.task_id, due))
    if plan.part is not None:
        return await _fire(ctx, plan, plan.part, range(_SPAN))
    first: datetime | None = await ctx.run(partial(_next, plan, ctx.now()), output_type=datetime | None, name="first")
    if first is None:
        return Ended()
    return await _fire(ctx, plan, Part(schedule=ctx.task_id, levels=_LEVELS, due=first), count())


async def _fire(ctx: Context, plan: Schedule, part: Part, numbers: range | count[int]) -> Ended:
    """Fires one time after the other, or lets children do so."""
    ended = Ended(due=part.due)
    for number in numbers:
        due = ended.due
        if due is None:
            break
        if part.levels:
            below = part.model_copy(update={"levels": part.levels - 1, "due": due})
            ended = await ctx.call(schedule, plan.model_copy(update={"part": below}), name=f"part-{number}")
        else:
            ended = await _fire_one(ctx, plan, part.schedule, due)
    return ended


async def _fire_one(ctx: Context, plan: Schedule, name: str, due: datetime) -> Ended:
    """Sleeps until ``due``. What the expression means then is journaled: rules of time zones change."""
    await asyncio.sleep((due - ctx.now()).total_seconds())
    found: Times = await ctx.run(partial(_times, plan, due, ctx.now()), output_type=Times)
    return Ended(started=await _start(ctx, plan, name, found.latest), due=found.following)


def _start(ctx: Context, plan: Schedule, name: str, due: datetime) -> asyncio.Future[str]:
    task_id = f"{name}/{time_text(due)}"
    limit = None if plan.cost_limit_usd is None else str(plan.cost_limit_usd)
    return ctx.start(plan.agent, plan.input, task_id=task_id, key=plan.key, max_usd=limit)


def _next(plan: Schedule, after: datetime) -> datetime | None:
    return next_time(plan.cron or "", plan.timezone, after)


def _times(plan: Schedule, due: datetime, now: datetime) -> Times:
    return times(plan.cron or "", plan.timezone, due, now)


def time_text(moment: datetime) -> str:
    """``2026-11-30T07:00Z``, with seconds where there are any."""
    utc = moment.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ" if utc.second else "%Y-%m-%dT%H:%MZ")


def next_firing(plan: Schedule, started: datetime, now: datetime) -> datetime | None:
    """When a schedule that is open starts something next; None where it never does again."""
    if plan.after_seconds is not None:
        return started + timedelta(seconds=plan.after_seconds)
    return _next(plan, now)
