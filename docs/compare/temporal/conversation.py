"""A conversation for each customer: turns in order, each with the whole history."""

import asyncio
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import TRY, chat


@workflow.defn
class Program:
    def __init__(self) -> None:
        self.history: list[dict[str, Any]] = []
        self.turn = asyncio.Lock()

    @workflow.run
    async def run(self, history: list[dict[str, Any]] | None = None) -> None:
        self.history = [*(history or []), *self.history]
        await workflow.wait_condition(lambda: workflow.info().is_continue_as_new_suggested())
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(self.history)

    @workflow.update
    async def say(self, text: str) -> str:
        async with self.turn:
            self.history.append({"role": "user", "content": text})
            message = await workflow.execute_activity(chat, self.history, start_to_close_timeout=TRY)
            self.history.append(message)
            return str(message["content"])
