"""Model calls side by side, and their answers together."""

import asyncio
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.func import entrypoint
from tasks import ask


def make(saver: BaseCheckpointSaver[str]) -> Any:
    @entrypoint(checkpointer=saver)
    async def run(cities: list[str]) -> str:
        facts = await asyncio.gather(*(ask(f"A fact about {city}") for city in cities))
        return "\n".join(facts)

    return run
