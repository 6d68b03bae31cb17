"""An agent that hears of people, remembers it, asks a model, and may wait: for people who are forgotten meanwhile."""

from __future__ import annotations

from pydantic import BaseModel

from aiosv3.agents import Context, Conversation, agent


class Told(BaseModel):
    """What a task brings: ``text`` about somebody, and whether it waits for a message afterwards."""

    about: str
    text: str
    waits: bool = False


@agent(order="serial", state=Conversation)
async def confidant(ctx: Context[Conversation], told: Told) -> str:
    """Each turn is long enough to become a block in the claim store."""
    ctx.state.append("user", f"{told.text} ".ljust(3_000, "x"))
    await ctx.remember(told.text, subject=told.about, scope="tenant")
    found = await ctx.recall(subject=told.about)
    ctx.state.append("assistant", await ctx.generate(ctx.state))
    if told.waits:
        await ctx.receive("go", str)
    return found[0].text
