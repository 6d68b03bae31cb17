"""What workflows may not do themselves, once for the project."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import world
from temporalio import activity

TRY = timedelta(seconds=15)
"""How long one attempt may take: after a crash, an attempt in flight is given up this long after it began."""


@activity.defn
async def ask(prompt: str) -> str:
    return await world.ask(prompt)


@activity.defn
async def chat(messages: list[dict[str, Any]]) -> dict[str, Any]:
    return await world.chat(messages)


@activity.defn
async def chat_with_tools(messages: list[dict[str, Any]]) -> dict[str, Any]:
    return await world.chat(messages, tools=True)


@activity.defn
async def weather(city: str) -> str:
    return await world.weather(city)


@activity.defn
async def reserve(order: str) -> str:
    return await world.reserve(order)


@activity.defn
async def release(order: str) -> str:
    return await world.release(order)


ALL: list[Callable[..., Any]] = [ask, chat, chat_with_tools, weather, reserve, release]
