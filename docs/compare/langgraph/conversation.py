"""A conversation for each customer: turns in order (kept by harness.py), each with the whole history."""

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.func import entrypoint
from tasks import chat


def make(saver: BaseCheckpointSaver[str]) -> Any:
    @entrypoint(checkpointer=saver)
    async def run(text: str, *, previous: list[dict[str, Any]] | None) -> entrypoint.final[str, list[dict[str, Any]]]:
        history = [*(previous or []), {"role": "user", "content": text}]
        message = await chat(history)
        return entrypoint.final(value=str(message["content"]), save=[*history, message])

    return run
