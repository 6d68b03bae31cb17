"""Agents of the streaming test: one that writes, and one that has it written."""

from __future__ import annotations

from pydantic import BaseModel

from aiosv3.agents import Context, agent


class Wish(BaseModel):
    """What the endpoint is to do on its way."""

    text: str


@agent
async def writer(ctx: Context, wish: Wish) -> str:
    """One model call, with words about it."""
    ctx.progress("asking", 0.0)
    story = await ctx.generate(wish.text)
    ctx.progress(1.0)
    return story


@agent
async def publisher(ctx: Context, wish: Wish) -> str:
    """Has it written by another agent."""
    return await ctx.call(writer, wish)
