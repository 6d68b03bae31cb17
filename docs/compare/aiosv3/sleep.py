"""A pause that a restart does not lengthen."""

import asyncio

from pydantic import BaseModel

from aiosv3.agents import Context, agent


class Reminder(BaseModel):
    topic: str
    seconds: float


@agent
async def sleep(ctx: Context, reminder: Reminder) -> str:
    first = await ctx.generate(f"Announce {reminder.topic}")
    await asyncio.sleep(reminder.seconds)
    return await ctx.generate(f"Remind of {first}")
