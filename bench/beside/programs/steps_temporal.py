"""Three durable steps on Temporal: a worker, and a client of its development server.

python steps_temporal.py worker ADDRESS
python steps_temporal.py client ADDRESS
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import steps_work

QUEUE = "beside"
TRY = timedelta(seconds=5)
"""How long an attempt of a step may take: what a crash has cut off is given up after this."""


@activity.defn
async def step(name: str, number: int) -> str:
    return await steps_work.step(name, number)


@workflow.defn
class Three:
    @workflow.run
    async def run(self, name: str) -> str:
        last = ""
        for number in steps_work.STEPS:
            last = await workflow.execute_activity(step, args=[name, number], start_to_close_timeout=TRY)
        return last


async def worker(address: str) -> None:
    client = await Client.connect(address)
    async with Worker(client, task_queue=QUEUE, workflows=[Three], activities=[step]):
        print("ready", flush=True)
        await asyncio.Event().wait()


async def client(address: str) -> None:
    opened = await Client.connect(address)

    async def run(name: str) -> None:
        await opened.execute_workflow(Three.run, name, id=name, task_queue=QUEUE)

    async def resume(_count: int, _seconds: float) -> int:
        raise SystemExit("this client is not the one that is killed")

    await steps_work.serve(run, resume)


if __name__ == "__main__":
    role, *given = sys.argv[1:]
    asyncio.run({"worker": worker, "client": client}[role](*given))
