"""A trial of a product: an agent that waits for two weeks, and wakes when the customer says something."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from aiosv3.agents import Context, agent


class Trial(BaseModel):
    """Who tries it, and for how long."""

    customer: str
    days: Annotated[float, Field(gt=0, le=365)] = 14


class Word(BaseModel):
    """What the customer says."""

    wants: Literal["buy", "leave"]


class Over(BaseModel):
    """How it ended, and what was sent to the customer."""

    ended: Literal["bought", "left", "expired"]
    letters: list[str]


@agent(clearance="confidential", deadline=timedelta(days=400))
async def trial(ctx: Context, given: Trial) -> Over:
    """Welcomes, waits, reminds a day before the end, and says goodbye."""
    letters = [await _letter(ctx, given, "welcome")]
    said = ctx.receive("word", Word)
    reminding = max(given.days - 1, given.days / 2)
    for days, last in ((reminding, False), (given.days - reminding, True)):
        done, _ = await asyncio.wait([said], timeout=timedelta(days=days).total_seconds())
        if done:
            ended: Literal["bought", "left"] = "bought" if said.result().wants == "buy" else "left"
            return Over(ended=ended, letters=[*letters, await _letter(ctx, given, ended)])
        letters.append(await _letter(ctx, given, "goodbye" if last else "reminder"))
    return Over(ended="expired", letters=letters)


async def _letter(ctx: Context, given: Trial, kind: str) -> str:
    """What goes out is outside of the journal: a mail service that is told the step's key sends each letter once."""

    def send(step_key: str) -> str:
        return f"{kind} to {given.customer} ({step_key})"

    return await ctx.run(send, output_type=str, name=f"letter-{kind}")
