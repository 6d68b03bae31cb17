"""A model that calls tools until it knows."""

import asyncio
import json
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import TRY, chat_with_tools, weather

TOOLS = {"weather": weather}


@workflow.defn
class Program:
    @workflow.run
    async def run(self, question: str) -> str:
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": "Help with travel plans."},
            {"role": "user", "content": question},
        ]
        while True:
            message = await workflow.execute_activity(chat_with_tools, messages, start_to_close_timeout=TRY)
            messages.append(message)
            calls = message.get("tool_calls") or []
            if not calls:
                return str(message["content"])
            messages += await asyncio.gather(*(self.use(call) for call in calls))

    async def use(self, call: dict[str, Any]) -> dict[str, Any]:
        function = call["function"]
        arguments = json.loads(function["arguments"]).values()
        text = await workflow.execute_activity(TOOLS[function["name"]], args=[*arguments], start_to_close_timeout=TRY)
        return {"role": "tool", "tool_call_id": call["id"], "content": text}
