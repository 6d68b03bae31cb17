"""The same work through the agent runtime, in one process: prints CPU microseconds a task."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

from agents_for_bench import noop

from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.workers import agent_processor, open_mesh, spare_collector

BOOTSTRAP, PREFIX, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])


async def main() -> None:
    settings = Settings(
        kafka=KafkaSettings(bootstrap=BOOTSTRAP, prefix=PREFIX, partitions=1),
        state=Path(mkdtemp(prefix="aiosv3-bench-")),
    )
    async with open_mesh(settings, "bench") as mesh:
        processor = await agent_processor(mesh, noop)
        spare_collector()  # as a worker's process does
        await processor.start()
        while not processor.tenures or processor.tenures[0].offsets.next == 0:
            await asyncio.sleep(0.002)
        began, already = time.process_time(), processor.tenures[0].offsets.next
        while processor.tenures[0].offsets.base < COUNT:
            await asyncio.sleep(0.02)
        print((time.process_time() - began) / (COUNT - already) * 1e6)
        await processor.drain(0)


if __name__ == "__main__":
    asyncio.run(main())
