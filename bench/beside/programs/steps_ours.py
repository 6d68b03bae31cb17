"""Three durable steps on this project.

python steps_ours.py worker BOOTSTRAP PREFIX
python steps_ours.py client BOOTSTRAP PREFIX
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

import steps_work

from aiosv3.agents import Client, Context, agent
from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.workers import agent_processor, open_mesh, serve


@agent
async def three(ctx: Context, name: str) -> str:
    """One step after the other."""
    last = ""
    for number in steps_work.STEPS:
        last = await ctx.run(partial(steps_work.step, name, number), output_type=str)
    return last


async def worker(bootstrap: str, prefix: str) -> None:
    name = os.environ.get("AIOSV3_BENCH_INSTANCE", "")  # as `aiosv3 up` names its workers
    kafka = KafkaSettings(bootstrap=bootstrap, prefix=prefix, partitions=1, instance=name)
    settings = Settings(kafka=kafka, state=Path(os.environ["AIOSV3_BENCH_STATE"]))
    async with open_mesh(settings, "bench-three") as mesh:
        processor = await agent_processor(mesh, three)

        async def told() -> None:
            while not processor.tenures or not all(each.may_commit() for each in processor.tenures.values()):
                await asyncio.sleep(0.005)
            print("ready", flush=True)
            await asyncio.Event().wait()

        await serve(mesh, processor, [told])


async def client(bootstrap: str, prefix: str) -> None:
    async with Client(bootstrap, prefix=prefix) as opened:

        async def run(name: str) -> None:
            handle = await opened.start(three, name, id=name)
            await handle.result(timeout=120)

        async def resume(_count: int, _seconds: float) -> int:
            raise SystemExit("this client is not the one that is killed")

        await steps_work.serve(run, resume)


if __name__ == "__main__":
    role, *given = sys.argv[1:]
    asyncio.run({"worker": worker, "client": client}[role](*given))
