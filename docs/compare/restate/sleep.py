"""A pause that a restart does not lengthen."""

from datetime import timedelta

from pydantic import BaseModel
from restate import Context, Service
from world import ask

program = Service("Program")


class Reminder(BaseModel):
    topic: str
    seconds: float


@program.handler()
async def run(ctx: Context, reminder: Reminder) -> str:
    first = await ctx.run_typed("announce", ask, prompt=f"Announce {reminder.topic}")
    await ctx.sleep(timedelta(seconds=reminder.seconds))
    return await ctx.run_typed("remind", ask, prompt=f"Remind of {first}")
