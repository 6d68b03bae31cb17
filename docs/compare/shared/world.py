"""The world outside all programs: a model, a weather service and a shop, by plain HTTP. Nothing is tried twice here."""

from __future__ import annotations

import os
from typing import Any

import httpx

_WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


async def _post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=os.environ["COMPARE_URL"], timeout=30) as client:
        answer = await client.post(path, json=body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


async def chat(messages: list[dict[str, Any]], *, tools: bool = False) -> dict[str, Any]:
    """The model's next message; it may ask for ``weather`` where ``tools`` are allowed."""
    body: dict[str, Any] = {"model": "counted", "messages": messages}
    if tools:
        body["tools"] = [_WEATHER]
    message: dict[str, Any] = (await _post("/v1/chat/completions", body))["choices"][0]["message"]
    return message


async def ask(prompt: str) -> str:
    """The model's answer to one prompt."""
    return str((await chat([{"role": "user", "content": prompt}]))["content"])


async def weather(city: str) -> str:
    """The weather in a city."""
    return str((await _post("/weather", {"city": city}))["text"])


async def reserve(order: str) -> str:
    """Takes goods out of the shelf for an order."""
    return str((await _post("/reserve", {"order": order}))["text"])


async def release(order: str) -> str:
    """Puts them back."""
    return str((await _post("/release", {"order": order}))["text"])
