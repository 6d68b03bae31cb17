"""What a restore costs: open tasks with a journal, taken over by the next owner, on a log in memory.

    python bench/restore.py TASKS

Prints processor time in microseconds: a journal record of the restore, one that is only decoded, and the whole restore
in milliseconds, from the assignment until each task waits where it waited before.
"""

from __future__ import annotations

import asyncio
import sys
import time

from agents_for_bench import ten_steps
from task_step import Bench

from aiosv3.agents.worker.tenure import AgentTenure
from aiosv3.app.workers import spare_collector
from aiosv3.schemas.records import JournalRecord
from aiosv3.streams.processor import Processor

STEPS = 10
JOURNAL = STEPS + 1


async def opened(processor: Processor, tasks: int) -> None:
    """Until each task waits for its message."""
    tenure = processor.tenures[0]
    assert isinstance(tenure, AgentTenure)
    while not _waiting(tenure, tasks):
        if tenure.reason:
            raise SystemExit(f"the tenure has ended: {tenure.reason}")
        await asyncio.sleep(0)


def _waiting(tenure: AgentTenure, tasks: int) -> bool:
    if len(tenure.live) < tasks:
        return False
    return all(live.settled and str(JOURNAL) in live.run.waiting for live in tenure.live.values())


async def main(tasks: int) -> tuple[float, float, float]:
    bench = Bench(ten_steps, tasks)
    await bench.fill()
    first = bench.processor()
    await first.start()
    await opened(first, tasks)
    first.revoked(0)
    await first.drain(0)
    spare_collector()  # as a worker's process does
    journal = bench.log.partitions[bench.topics.journal(ten_steps.name), 0]
    values = [record.value for record in journal if record.value is not None]
    began = time.process_time()
    for value in values:
        bench.codec.decode_as(JournalRecord, value)
    bare = time.process_time() - began
    began = time.process_time()
    second = bench.processor()
    await second.start()
    await opened(second, tasks)
    restored = time.process_time() - began
    await second.drain(0)
    return restored / len(values) * 1e6, bare / len(values) * 1e6, restored * 1_000


if __name__ == "__main__":
    print(*asyncio.run(main(int(sys.argv[1]))))
