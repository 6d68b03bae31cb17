"""A model that calls tools until it knows."""

import asyncio
import json
from typing import Any

from dbos import DBOS
from steps import chat, weather

TOOLS = {"weather": weather}


@DBOS.workflow()
async def run(question: str) -> str:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Help with travel plans."},
        {"role": "user", "content": question},
    ]
    while True:
        message = await chat(messages, tools=True)
        messages.append(message)
        calls = message.get("tool_calls") or []
        if not calls:
            return str(message["content"])
        messages += await asyncio.gather(*(use(call) for call in calls))


async def use(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    text = await TOOLS[function["name"]](**json.loads(function["arguments"]))
    return {"role": "tool", "tool_call_id": call["id"], "content": text}
