"""Work that is undone when it is cancelled: by an answer to an interrupt, since nothing else outlives the process."""

import time
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.func import entrypoint, task
from langgraph.types import interrupt
from tasks import release, reserve


@task
async def due_after(seconds: float) -> float:
    return time.time() + seconds


def make(saver: BaseCheckpointSaver[str]) -> Any:
    @entrypoint(checkpointer=saver)
    async def run(order: str) -> str:
        await reserve(order)
        due = await due_after(600)
        if interrupt({"question": "paid?", "due": due}) == "cancel":
            await release(order)
            return "cancelled"
        return "paid"

    return run
