"""A pause that a restart does not lengthen: its end is kept, and somebody must go on with the run after a restart."""

import asyncio
import time
from typing import Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.func import entrypoint, task
from tasks import ask


class Reminder(TypedDict):
    topic: str
    seconds: float


@task
async def due_after(seconds: float) -> float:
    return time.time() + seconds


def make(saver: BaseCheckpointSaver[str]) -> Any:
    @entrypoint(checkpointer=saver)
    async def run(reminder: Reminder) -> str:
        first = await ask(f"Announce {reminder['topic']}")
        due = await due_after(reminder["seconds"])
        await asyncio.sleep(max(0, due - time.time()))
        return await ask(f"Remind of {first}")

    return run
