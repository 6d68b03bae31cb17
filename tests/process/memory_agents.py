"""An agent that remembers, for workers that are killed."""

from __future__ import annotations

from pydantic import BaseModel

from aiosv3.agents import Context, agent


class Errand(BaseModel):
    """What a task brings: its number says what it does."""

    number: int


FORGET = 1_000
RECALL = 2_000


@agent
async def clerk(ctx: Context, errand: Errand) -> list[str]:
    """Remembers its number; 1,000: forgets a subject; 2,000 and more: says all that it finds."""
    if errand.number >= RECALL:
        return sorted(one.text for one in await ctx.recall("fact", k=200))
    if errand.number == FORGET:
        gone = await ctx.forget(subject="subject 4")
        ctx.remember("fact after all", subject="subject 4", scope="tenant")
        return sorted(gone.receipt)
    noted = await ctx.remember(f"fact {errand.number}", subject=f"subject {errand.number % 5}", scope="tenant")
    seen = await ctx.recall(f"fact {errand.number}", k=200)
    return [noted.id] if noted.id in {one.id for one in seen} else []
