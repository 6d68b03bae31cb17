"""A model call that is tried again."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import TRY, ask


@workflow.defn
class Program:
    @workflow.run
    async def run(self, report: str) -> str:
        summary = await workflow.execute_activity(ask, f"Summarise {report}", start_to_close_timeout=TRY)
        return await workflow.execute_activity(ask, f"A title for {summary}", start_to_close_timeout=TRY)
