"""How wide one task may fan out. Money and model calls: tests/agents/test_task_limits.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import BudgetExceeded, Context, Limits, agent
from aiosv3.agents.steps import CallStep
from aiosv3.schemas.records import JournalKind, Outcome

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]
NARROW = Limits(fan_out=3)
CONTENT = '{"text": "ok", "tool_calls": null}'


async def fans_out(ctx: Context, way: str) -> str:
    """Four steps at once; what became of the last one."""
    ways: dict[str, Callable[[], asyncio.Future[Any]]] = {
        "call": lambda: ctx.call("child", "x"),
        "send": lambda: ctx.send("child", "x"),
        "generate": lambda: ctx.generate("x"),
        "run": lambda: ctx.run(lambda: 1),
    }
    steps = [ways[way]() for _ in range(4)]
    try:
        await steps[3]
    except BudgetExceeded as error:
        await steps[0]
        return f"{error.step}: {error.message}"
    return "done"


@pytest.mark.parametrize("way", ["call", "send", "generate", "run"])
def test_one_step_too_many_at_once_is_refused_and_never_sent(play: NewPlay, way: str) -> None:
    task = play(fans_out, way, limits=NARROW)
    assert task.ids() == ["1", "2", "3"]
    task.feed(task.record(JournalKind.VALUE if way == "run" else JournalKind.ANSWER, "1", content=CONTENT))
    assert task.ended.value == "4: this task has 3 steps open at once, one-way sends included"
    assert task.replay().view() == task.view()


def test_by_default_a_hundred(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> None:
        steps = [ctx.run(lambda: 1) for _ in range(101)]
        await steps[0]
        await steps[100]

    task = play(program)
    assert task.ids() == [str(number) for number in range(1, 101)]
    task.value("1")
    assert (task.failed.type, task.failed.step) == ("BudgetExceeded", "101")


def test_an_answered_step_makes_room_for_the_next(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        for _ in range(4):
            await asyncio.gather(*(ctx.run(lambda: 1) for _ in range(3)))
        return "done"

    task = play(program, limits=NARROW)
    for step in range(1, 13):
        task.value(str(step))
    assert task.ended.value == "done"
    assert task.replay().view() == task.view()


def test_a_one_way_send_counts_for_good(play: NewPlay) -> None:
    """Each is a whole task somewhere: a loop of them would flood the mesh, however quickly the log takes them."""

    async def program(ctx: Context, _value: str) -> str:
        for _ in range(4):
            await ctx.send("child", "x")
        return "flooded"

    task = play(program, limits=NARROW)
    for step in ("1", "2", "3"):
        task.value(step)
    assert (task.failed.type, task.failed.step) == ("BudgetExceeded", "4")
    assert all(isinstance(step, CallStep) for step in task.asked)
    assert task.replay().view() == task.view()


def test_timers_take_no_place(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        async with asyncio.timeout(60), asyncio.timeout(70), asyncio.timeout(80), asyncio.timeout(90):
            await asyncio.gather(*(ctx.run(lambda: 1) for _ in range(3)))
        return "done"

    task = play(program, limits=NARROW)
    for step in ("5", "6", "7"):
        task.value(step)
    assert task.ended.value == "done"


def test_a_step_that_nobody_awaits_any_more_still_takes_its_place(play: NewPlay) -> None:
    """Its work goes on in the world; giving up on it makes it no cheaper."""

    async def program(ctx: Context, _value: str) -> None:
        for _ in range(4):
            ctx.generate("x").cancel()
        await ctx.generate("y")

    assert (play(program, limits=NARROW).failed.type) == "BudgetExceeded"


def test_what_was_given_up_at_the_end_leaves_room_for_the_cleanup(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> None:
        try:
            await asyncio.gather(*(ctx.run(lambda: 1) for _ in range(3)))
        finally:
            await ctx.run(lambda: 2)

    task = play(program, limits=NARROW)
    task.feed(task.record(JournalKind.STARTED, None, code_version="v1"))
    asked = task.feed(task.record(JournalKind.CANCEL, None, outcome=Outcome.CANCELLED))
    assert "4" in [step.id for step in asked]


def test_an_agent_says_its_limits_and_its_budget_and_deadline_go_before_them() -> None:
    @agent(limits=Limits(fan_out=7, usd_micros=1, depth=2), budget="0.5")
    async def wide(_ctx: Context, value: str) -> str:
        return value

    assert wide.limits == Limits(fan_out=7, usd_micros=500_000, depth=2)
    assert wide.limits.deadline == timedelta(hours=1)
