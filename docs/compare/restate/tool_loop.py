"""A model that calls tools until it knows."""

import json
from typing import Any

import restate
from restate import Context, Service
from world import chat, weather

program = Service("Program")
TOOLS = {"weather": weather}


@program.handler()
async def run(ctx: Context, question: str) -> str:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Help with travel plans."},
        {"role": "user", "content": question},
    ]
    while True:
        message = await ctx.run_typed("chat", chat, messages=messages, tools=True)
        messages.append(message)
        calls = message.get("tool_calls") or []
        if not calls:
            return str(message["content"])
        used = [
            ctx.run_typed(call["id"], TOOLS[call["function"]["name"]], **json.loads(call["function"]["arguments"]))
            for call in calls
        ]
        await restate.gather(*used)
        for call, text in zip(calls, used, strict=True):
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": await text})
