"""Agents that do nothing, or wait: what is left is the runtime's own cost."""

from __future__ import annotations

import asyncio
from functools import partial

from pydantic import BaseModel

from aiosv3.agents import Context, agent


class Ticket(BaseModel):
    """Five fields, as a small business event has."""

    id: str
    customer: str
    text: str
    priority: int
    amount: float


class Labelled(BaseModel):
    """The same size again."""

    id: str
    label: str
    note: str
    priority: int
    amount: float


@agent
async def noop(_ctx: Context, ticket: Ticket) -> Labelled:
    """No step: decode, run, encode, own log, commit."""
    return Labelled(id=ticket.id, label="x", note=ticket.text, priority=ticket.priority, amount=ticket.amount)


@agent
async def waits(_ctx: Context, ticket: Ticket) -> Labelled:
    """Half a second, as a task that waits for a model."""
    await asyncio.sleep(0.5)
    return Labelled(id=ticket.id, label="x", note="", priority=ticket.priority, amount=ticket.amount)


@agent
async def holds(ctx: Context, ticket: Ticket) -> Labelled:
    """Ends at once, or (priority 9) waits for a message that nobody sends."""
    if ticket.priority == 9:
        await ctx.receive("go", str)
    return Labelled(id=ticket.id, label="x", note="", priority=ticket.priority, amount=ticket.amount)


@agent
async def one_step(ctx: Context, ticket: Ticket) -> Labelled:
    """One of :func:`three_steps`."""
    note = await ctx.run(partial(_kilobyte, "a"))
    return Labelled(id=ticket.id, label="x", note=note[:8], priority=ticket.priority, amount=ticket.amount)


@agent
async def three_steps(ctx: Context, ticket: Ticket) -> Labelled:
    """Three functions, one after the other, each value of 1 KiB in the journal."""
    note = ""
    for place in "abc":
        note = await ctx.run(partial(_kilobyte, place))
    return Labelled(id=ticket.id, label="x", note=note[:8], priority=ticket.priority, amount=ticket.amount)


async def _kilobyte(letter: str) -> str:
    return letter * 1024


@agent
async def asks(ctx: Context, ticket: Ticket) -> Labelled:
    """One routed model call."""
    text = await ctx.generate(ticket.text, max_tokens=16)
    return Labelled(id=ticket.id, label=text, note="", priority=ticket.priority, amount=ticket.amount)


@agent
async def ten_steps(ctx: Context, ticket: Ticket) -> Labelled:
    """Ten small steps, then it waits for a message that nobody sends: an open task with a journal."""
    for place in range(10):
        await ctx.run(partial(_number, place))
    await ctx.receive("go", str)
    return Labelled(id=ticket.id, label="x", note="", priority=ticket.priority, amount=ticket.amount)


async def _number(number: int) -> int:
    return number


@agent(order="serial")
async def keyed(_ctx: Context, ticket: Ticket) -> Labelled:
    """A tenth of a second, one task of a key after the other."""
    await asyncio.sleep(0.1)
    return Labelled(id=ticket.id, label="x", note="", priority=ticket.priority, amount=ticket.amount)
