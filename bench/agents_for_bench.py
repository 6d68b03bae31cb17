"""Agents that do nothing, or wait: what is left is the runtime's own cost."""

from __future__ import annotations

import asyncio

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
async def asks(ctx: Context, ticket: Ticket) -> Labelled:
    """One routed model call."""
    text = await ctx.generate(ticket.text, max_tokens=16)
    return Labelled(id=ticket.id, label=text, note="", priority=ticket.priority, amount=ticket.amount)
