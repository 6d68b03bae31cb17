"""What is to be kept of a run, once for the project."""

from typing import Any

import world
from langgraph.func import task
from langgraph.types import RetryPolicy

AGAIN = RetryPolicy(max_attempts=10)


@task(retry_policy=AGAIN)
async def ask(prompt: str) -> str:
    return await world.ask(prompt)


@task(retry_policy=AGAIN)
async def chat(messages: list[dict[str, Any]]) -> dict[str, Any]:
    return await world.chat(messages)


@task(retry_policy=AGAIN)
async def reserve(order: str) -> str:
    return await world.reserve(order)


@task(retry_policy=AGAIN)
async def release(order: str) -> str:
    return await world.release(order)
