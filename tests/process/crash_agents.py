"""The agent of the crash test: three steps, one of them a model call."""

from __future__ import annotations

import random

from pydantic import BaseModel

from aiosv3.agents import Context, agent


class Work(BaseModel):
    """What a task brings."""

    number: int


class Done(BaseModel):
    """What comes out: every step's value."""

    number: int
    drawn: int
    answer: str
    again: int


@agent
async def worker(ctx: Context, work: Work) -> Done:
    """run → generate → run."""
    drawn = await ctx.run(lambda: random.randrange(10**9), output_type=int)
    answer = await ctx.generate(f"task {work.number} drew {drawn}")
    again = await ctx.run(lambda: random.randrange(10**9), output_type=int)
    return Done(number=work.number, drawn=drawn, answer=answer, again=again)


@agent(order="serial")
async def queue(ctx: Context, work: Work) -> Done:
    """The same, one task of a key after the other."""
    drawn = await ctx.run(lambda: random.randrange(10**9), output_type=int)
    answer = await ctx.generate(f"queued {work.number}")
    return Done(number=work.number, drawn=drawn, answer=answer, again=0)


@agent
async def plain(_ctx: Context, work: Work) -> Work:
    """No step at all."""
    return work


@agent
async def shout(ctx: Context, work: Work) -> Work:
    """Asks a model with a prompt of ``number`` characters."""
    await ctx.generate("x" * work.number)
    return work


@agent
async def astray(ctx: Context, work: Work) -> Work:
    """Calls an agent that nobody runs."""
    await ctx.call("nobody", {"number": work.number})
    return work
