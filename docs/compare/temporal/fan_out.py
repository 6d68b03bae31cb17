"""Model calls side by side, and their answers together."""

import asyncio

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import TRY, ask


@workflow.defn
class Program:
    @workflow.run
    async def run(self, cities: list[str]) -> str:
        facts = await asyncio.gather(
            *(workflow.execute_activity(ask, f"A fact about {city}", start_to_close_timeout=TRY) for city in cities)
        )
        return "\n".join(facts)
