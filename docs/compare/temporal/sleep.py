"""A pause that a restart does not lengthen."""

import asyncio

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import TRY, ask


class Reminder(BaseModel):
    topic: str
    seconds: float


@workflow.defn
class Program:
    @workflow.run
    async def run(self, reminder: Reminder) -> str:
        first = await workflow.execute_activity(ask, f"Announce {reminder.topic}", start_to_close_timeout=TRY)
        await asyncio.sleep(reminder.seconds)
        return await workflow.execute_activity(ask, f"Remind of {first}", start_to_close_timeout=TRY)
