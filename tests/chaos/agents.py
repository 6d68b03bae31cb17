"""The work that faults strike: agents with steps of every kind, and what happened outside written down beside it."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aiosv3.agents import Context, ModelUnavailable, agent, tool

RUNS = "runs.txt"
"""In the folder where the worker was started: each execution of a function of ``ctx.run``, as it began."""

_TRIES = 60
_PAUSE_S = 2.0


class Work(BaseModel):
    """What a task brings. ``seconds``: how long its model takes."""

    number: int
    seconds: float = 0.0


class Done(BaseModel):
    """What comes out: every step's value."""

    number: int
    drawn: int
    answer: str
    stamped: int = 0
    noted: str = ""
    forgot: bool = False


class Turn(BaseModel):
    """How many tasks of its key came before and with this one."""

    number: int
    count: int
    answer: str


class Count(BaseModel):
    """The state of a key."""

    count: int = 0


@tool("outside", "desk", "post")
def stamp(path: str, body: dict[str, Any]) -> dict[str, int]:
    """Something outside that is not to be done twice."""
    raise NotImplementedError(path, body)


def _draw(step_key: str) -> int:
    now = time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000  # the machine's, whatever this process is told
    line = f"{now} {os.getpid()} {step_key}\n"
    place = os.open(Path(RUNS), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(place, line.encode())
    finally:
        os.close(place)
    return random.randrange(10**9)


async def _asked(ctx: Context[Any], prompt: str) -> str:
    """The answer, of a model that may be away for a while: each try is a step of its own."""
    for _ in range(_TRIES):
        try:
            return await ctx.generate(prompt)
        except ModelUnavailable:
            await asyncio.sleep(_PAUSE_S)
    return await ctx.generate(prompt)


@agent
async def steps(ctx: Context, work: Work) -> Done:
    """A function, a model, a tool, and for some tasks memory, a third of which they forget again."""
    drawn = await ctx.run(_draw, output_type=int)
    answer = await _asked(ctx, f"task {work.number} wants {work.seconds} seconds")
    stamped = await ctx.call(stamp, path="/desk", body={"number": work.number})
    noted = ""
    if work.number % 4 == 0:
        memory = await ctx.remember(f"fact {work.number}", subject=f"subject {work.number}", scope="tenant")
        noted = memory.id
    forgot = work.number % 12 == 0
    if forgot:
        await ctx.forget(id=noted)
    return Done(number=work.number, drawn=drawn, answer=answer, stamped=stamped["number"], noted=noted, forgot=forgot)


@agent(order="serial", state=Count)
async def queue(ctx: Context[Count], work: Work) -> Turn:
    """One task of a key after the other; each tenth gives its work to the other agent."""
    ctx.state.count += 1
    if work.number % 10 == 0:
        done = await ctx.call(steps, Work(number=work.number))
        answer = done.answer
    else:
        answer = await _asked(ctx, f"queued {work.number} wants {work.seconds} seconds")
    return Turn(number=work.number, count=ctx.state.count, answer=answer)
