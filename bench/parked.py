"""Very many open tasks on one worker: the production classes over the log in memory. Prints JSON.

    python bench/parked.py [--write] COUNT …

Each task starts, waits for a message that nobody sends, is parked, and falls asleep; then another worker takes over.
The log is in this process too: ``log_mb`` is what its records' bytes are. What the worker alone needs for a task, with
the log in a broker, ``bench/parking.py`` measures with ten thousand. ``--write`` keeps the results for the page; each
count is a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from agents_for_bench import Ticket, holds
from beside.places import memory_mb

from aiosv3.agents import AgentSetup, AgentTenure, ParkingPolicy
from aiosv3.app.workers import spare_collector
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, TaskEnvelope
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.commit import Commit
from aiosv3.streams.log import Committed, Outgoing
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import Tenure, Wiring
from aiosv3.streams.testing import Host, MemoryBroker, MemoryLog, MemoryMember

BATCH: Final = 10_000
LONGEST_S: Final = 10_800.0
FREEZE_S: Final = 60.0


class Worker:
    """One worker of the agent that waits, and the broker that it has for itself."""

    def __init__(self) -> None:
        self.broker, self.topics, self.store = MemoryBroker(), Topics(), SchemaStore()
        self.codec = Codec(self.store)
        self.schemas = AgentSchemas(holds.name, holds.input_type, holds.output_type, self.topics)
        self.names = [each(holds.name) for each in (self.topics.tasks, self.topics.journal, self.topics.results)]
        for name in (*self.names, self.topics.prompts(), self.topics.dead_letters(), self.topics.deltas()):
            self.broker.create_topic(name, 1)
        self.processor = self.opened("a")

    def opened(self, name: str) -> Processor:
        """A process of this name, which is not started."""
        inputs, journal, results = self.names
        log = MemoryLog(self.broker, Host(name, asyncio.get_running_loop()))
        member = MemoryMember(self.broker, log, "agent.holds", inputs, journal)
        clock = lambda: time.time_ns() // 1_000_000  # noqa: E731
        metrics = MetricsCatalogue().processor(name)
        wiring = Wiring("agent.holds", inputs, results, journal, log, member, clock, metrics)
        policy = ParkingPolicy(after=0.2, drowsy=0.5)
        setup = AgentSetup(
            holds, self.schemas, self.codec, self.store, self.topics, b"a secret", live_limit=BATCH, parking=policy
        )

        def opened(partition: int, committed: Committed | None, start: Commit) -> Tenure:
            return AgentTenure(wiring, partition, committed, start, setup=setup)

        return Processor(wiring, opened)

    def send(self, numbers: Iterable[int]) -> None:
        """Tasks that wait."""
        for number in numbers:
            name = f"task-{number}"
            ticket = Ticket(id=name, customer="c", text="the card was charged twice", priority=9, amount=9.5)
            value = self.schemas.encode_task(self.codec, TaskEnvelope(name, ticket))
            self.broker.append(Outgoing(self.names[0], 0, name.encode(), value, [("ce_id", name.encode())]))

    def parked(self) -> tuple[int, int]:
        """How many are parked, and how many of them sleep."""
        tenure = self.processor.tenures.get(0)
        return tenure.parked() if isinstance(tenure, AgentTenure) else (0, 0)

    def log_bytes(self) -> int:
        """Of values and keys on all topics."""
        return sum(
            len(record.value or b"") + len(record.key or b"")
            for name in self.names
            for record in self.broker.records(name, 0)
        )


async def main(count: int) -> None:
    spare_collector()  # as workers do
    freezing = asyncio.create_task(_freeze())
    worker = Worker()
    await worker.schemas.register(worker.store)
    await worker.processor.start()
    worker.send(range(BATCH))
    await _until(worker, BATCH)
    before, began, cpu = memory_mb(os.getpid()), time.perf_counter(), time.process_time()
    for first in range(BATCH, count, BATCH):
        worker.send(range(first, min(count, first + BATCH)))
        await asyncio.sleep(0)
    await _until(worker, count)
    more = count - BATCH
    resident = memory_mb(os.getpid())
    took, used = time.perf_counter() - began, time.process_time() - cpu
    restored = await _restored(worker, count)
    freezing.cancel()
    found = {
        "tasks": count,
        "seconds": took,
        "cpu_us": used / more * 1e6,
        "restore_us": restored / count * 1e6,
        "resident_mb": resident,
        "bytes_each": (resident - before) * 2**20 / more,
        "log_mb": worker.log_bytes() / 2**20,
    }
    print(json.dumps(found), flush=True)
    os._exit(0)  # a million objects need not be taken apart


async def _freeze() -> None:
    """Of seven objects a task that the collector would look at again and again six are the log's, which a worker's
    process does not have."""
    while True:
        await asyncio.sleep(FREEZE_S)
        gc.collect()
        gc.freeze()


async def _restored(worker: Worker, count: int) -> float:
    """Seconds of processor time until a second worker has all of them, after the first one has let go."""
    await worker.processor.drain(0)
    worker.processor = worker.opened("b")
    cpu = time.process_time()
    await worker.processor.start()
    await _until(worker, count)
    return time.process_time() - cpu


async def _until(worker: Worker, count: int) -> None:
    deadline, seen = time.monotonic() + LONGEST_S, (0, 0)
    while seen != (count, count):
        if time.monotonic() > deadline:
            raise SystemExit(f"{seen} of {count} are parked and asleep after {LONGEST_S:.0f} s")
        await asyncio.sleep(0.5)  # to look is not free: it counts those that sleep
        seen = worker.parked()


def every(counts: list[str], *, write: bool) -> None:
    """Each count, one after the other."""
    from beside.command import Run, keep
    from beside.stream import Bench

    run = Run(Bench("", Path()), os.getpid(), "full", float("inf"), f"python bench/parked.py {' '.join(counts)}", print)
    with run.section() as section:
        for count in counts:
            done = subprocess.run([sys.executable, __file__, count], stdout=subprocess.PIPE, text=True, check=True)
            section["rows"][count] = json.loads(done.stdout)
            print(done.stdout.strip(), flush=True)
    if write:
        keep({"parked": section})


if __name__ == "__main__":
    given = [each for each in sys.argv[1:] if each != "--write"]
    if len(given) > 1 or "--write" in sys.argv:
        every(given, write="--write" in sys.argv)
    else:
        asyncio.run(main(int(given[0])))
