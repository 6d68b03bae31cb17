"""Three durable steps on DBOS, over SQLite or Postgres.

    python steps_dbos.py DATABASE

A flood goes through one of its queues; what a killed process has left, it takes up itself when it starts again.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import steps_work
from dbos import DBOS


@DBOS.step()
async def step(name: str, number: int) -> str:
    return await steps_work.step(name, number)


@DBOS.workflow()
async def three(name: str) -> str:
    last = ""
    for number in steps_work.STEPS:
        last = await step(name, number)
    return last


async def main(database: str) -> None:
    quiet: dict[str, Any] = {"log_level": "ERROR", "application_version": "1"}
    DBOS(config={"name": "beside", "system_database_url": database, **quiet})
    DBOS.launch()
    await DBOS.register_queue_async("flood", worker_concurrency=50, polling_interval_sec=0.1)

    async def run(name: str) -> Any:
        return await (await DBOS.start_workflow_async(three, name)).get_result()

    async def done() -> int:
        found = await DBOS.list_workflows_async(
            status="SUCCESS", workflow_id_prefix="w-", load_input=False, load_output=False
        )
        return len(found)

    async def flood(count: int, _at_once: int) -> int:
        from dbos import SetWorkflowID

        for number in range(count):
            with SetWorkflowID(f"w-{number}"):
                await DBOS.enqueue_workflow_async("flood", three, f"w-{number}")
            steps_work.asked(f"w-{number}")
        return await steps_work.polled(done, count, 60)

    async def resume(count: int, seconds: float) -> int:
        return await steps_work.polled(done, count, seconds)

    await steps_work.serve(run, resume, flood)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
