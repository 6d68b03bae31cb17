"""A model call that is tried again."""

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.func import entrypoint
from tasks import ask


def make(saver: BaseCheckpointSaver[str]) -> Any:
    @entrypoint(checkpointer=saver)
    async def run(report: str) -> str:
        summary = await ask(f"Summarise {report}")
        return await ask(f"A title for {summary}")

    return run
