"""A conversation for each customer: turns in order, each with the whole history."""

from typing import Any

from restate import ObjectContext, VirtualObject
from world import chat

program = VirtualObject("Conversation")


@program.handler()
async def say(ctx: ObjectContext, text: str) -> str:
    history: list[dict[str, Any]] = await ctx.get("history", type_hint=list) or []
    history.append({"role": "user", "content": text})
    message = await ctx.run_typed("chat", chat, messages=history)
    ctx.set("history", [*history, message])
    return str(message["content"])
