"""An open task in its worker: its timers and its coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiosv3.agents import Context
from aiosv3.agents.worker.live import LiveTask
from aiosv3.streams.log import Record

if TYPE_CHECKING:
    from tests.agents.conftest import Play, Stage


async def waits(ctx: Context, _value: str) -> str:
    return await ctx.generate("for ever")


def test_timers_are_disarmed_but_for_those_to_keep(stage: Stage, play: Callable[..., Play]) -> None:
    one = play(waits)
    live = LiveTask(Record("tasks", 0, 7, 0, None, b"", []), one.task, one.run, 0)
    for name in ("1", "2", "deadline"):
        live.timers[name] = stage.loop.call_later(60, print)
    dropped, kept = live.timers["1"], live.timers["2"]
    live.disarm(keep={"2", "unknown"})
    assert live.timers.keys() == {"2"}
    assert (dropped.cancelled(), kept.cancelled()) == (True, False)


def test_closing_drops_the_coroutine_and_its_timers(stage: Stage, play: Callable[..., Play]) -> None:
    ended: list[str] = []

    async def program(ctx: Context, value: str) -> str:
        try:
            return await waits(ctx, value)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        finally:
            ended.append("finally")

    one = play(program)
    live = LiveTask(Record("tasks", 0, 7, 0, None, b"", []), one.task, one.run, 0)
    live.timers["1"] = stage.loop.call_later(60, print)
    live.close()
    assert live.timers == {}
    assert ended[-1:] == ["finally"]
    assert one.run.take() == []
