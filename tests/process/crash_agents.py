"""The agent of the crash test: three steps, one of them a model call."""

from __future__ import annotations

import asyncio
import random

from pydantic import BaseModel

from aiosv3.agents import Context, Conversation, agent


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


@agent(order="serial", guarantee="exactly_once")
async def queue(ctx: Context, work: Work) -> Done:
    """The same, one task of a key after the other."""
    drawn = await ctx.run(lambda: random.randrange(10**9), output_type=int)
    answer = await ctx.generate(f"queued {work.number}")
    return Done(number=work.number, drawn=drawn, answer=answer, again=0)


@agent
async def patient(ctx: Context, work: Work) -> Done:
    """Waits for its model call, and after it: long enough to be parked, and to sleep again."""
    drawn = await ctx.run(lambda: random.randrange(10**9), output_type=int)
    answer = await ctx.generate(f"task {work.number} drew {drawn}")
    await asyncio.sleep(2)
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


class Heard(BaseModel):
    """How many turns the conversation had when the model was asked, and where it said that they begin."""

    turns: int
    head: str | None


@agent(order="serial", state=Conversation)
async def talker(ctx: Context[Conversation], work: Work) -> Heard:
    """A turn of a conversation, long enough to become a block."""
    ctx.state.append("user", f"turn {work.number} ".ljust(3_000, "x"))
    heard = Heard(turns=len(ctx.state), head=ctx.state.head)
    ctx.state.append("assistant", await ctx.generate(ctx.state))
    return heard
