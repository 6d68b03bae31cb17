"""An agent that works with tools: finds a ticket, labels it, leaves a note."""

from __future__ import annotations

import notes
import tickets

from aiosv3.agents import Context, ToolFailed, agent


@agent(clearance="internal")
async def desk(ctx: Context, words: str) -> str:
    """Labels the first ticket with these words as a billing matter."""
    found = (await ctx.call(tickets.find, text=words))["result"]
    if not found:
        return f"nobody wrote {words!r}"
    ticket = await ctx.call(tickets.label, ticket=found[0]["id"], label="billing")
    try:
        rule = await ctx.call(notes.read, path="refunds.txt")
    except ToolFailed as error:
        rule = f"(no rule: {error})"
    await ctx.call(notes.write, path=f"{ticket['id']}.txt", text=f"{ticket['text']}\n{rule}")
    return f"{ticket['id']} is about {ticket['label']}"
