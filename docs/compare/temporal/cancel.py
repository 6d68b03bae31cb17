"""Work that is undone when it is cancelled."""

import asyncio

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import TRY, release, reserve


@workflow.defn
class Program:
    @workflow.run
    async def run(self, order: str) -> str:
        await workflow.execute_activity(reserve, order, start_to_close_timeout=TRY)
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            await workflow.execute_activity(release, order, start_to_close_timeout=TRY)
            raise
        return "paid"
