"""What workflows may not do themselves, once for the project."""

from typing import Any, TypedDict

import world
from dbos import DBOS


class Retries(TypedDict):
    retries_allowed: bool
    max_attempts: int


AGAIN: Retries = {"retries_allowed": True, "max_attempts": 10}


@DBOS.step(**AGAIN)
async def ask(prompt: str) -> str:
    return await world.ask(prompt)


@DBOS.step(**AGAIN)
async def chat(messages: list[dict[str, Any]], *, tools: bool = False) -> dict[str, Any]:
    return await world.chat(messages, tools=tools)


@DBOS.step(**AGAIN)
async def weather(city: str) -> str:
    return await world.weather(city)


@DBOS.step(**AGAIN)
async def reserve(order: str) -> str:
    return await world.reserve(order)


@DBOS.step(**AGAIN)
async def release(order: str) -> str:
    return await world.release(order)
