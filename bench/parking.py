"""What parked tasks cost: prints bytes for each, no-op latency and loop lag without and with them, and the restore.

python parking.py BOOTSTRAP PREFIX PARKED        # latencies: ms, p50 and p99; last the seconds of a restore
python parking.py BOOTSTRAP PREFIX PARKED bytes  # bytes a parked task, by tracemalloc, which slows everything else
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from agents_for_bench import Ticket, holds
from confluent_kafka import Producer

from aiosv3.agents import Limits, ParkingPolicy
from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.topology import agent_topics
from aiosv3.app.workers import Mesh, agent_processor, open_mesh
from aiosv3.streams.kafka import ensure_topics
from aiosv3.streams.processor import Processor

BOOTSTRAP, PREFIX, PARKED = sys.argv[1], sys.argv[2], int(sys.argv[3])
ROUNDS, EVERY_S, TICK_S = 200, 0.01, 0.005


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Load:
    """Task events for the agent, from a producer of their own."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.sent = 0
        self._producer = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 0})

    def send(self, priority: int) -> int:
        """Sends one task; its offset on the only partition. Priority 9 waits, all others end at once."""
        number = str(self.sent)
        ticket = Ticket(id=number, customer="c", text="the card was charged twice", priority=priority, amount=9.5)
        self._producer.produce(self.topic, ticket.model_dump_json().encode(), number.encode(), 0)
        self._producer.poll(0)
        self.sent += 1
        return self.sent - 1

    def flush(self) -> None:
        """All are on the log."""
        self._producer.flush(60)


async def until_parked(processor: Processor, count: int) -> None:
    """Waits until so many tasks are parked and asleep."""
    while not processor.tenures or processor.tenures[0].parked() != (count, count):
        await asyncio.sleep(0.05)


async def latencies(processor: Processor, load: Load) -> tuple[list[float], list[float]]:
    """ms from sending a no-op task to the end of it, and by how much a timer of the loop comes late meanwhile."""
    took, late = [], []
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    async def tick() -> None:
        while not done.is_set():
            due = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            late.append((loop.time() - due) * 1e3)

    ticking = loop.create_task(tick())
    offsets = processor.tenures[0].offsets
    for _ in range(ROUNDS):
        began, offset = time.perf_counter(), load.send(0)
        while not (offsets.next > offset and offsets.finished(offset)):
            await asyncio.sleep(0.0002)
        took.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(EVERY_S)
    done.set()
    await ticking
    return took, late


async def worker(mesh: Mesh) -> Processor:
    """Parks what waits for more than a second."""
    agent = replace(holds, limits=Limits())
    return await agent_processor(mesh, agent, live_limit=20_000, parking=ParkingPolicy(after=1.0))


async def main() -> None:
    settings = Settings(
        kafka=KafkaSettings(bootstrap=BOOTSTRAP, prefix=PREFIX, partitions=1),
        state=Path(mkdtemp(prefix="aiosv3-bench-")),
    )
    async with open_mesh(settings, "bench") as mesh:
        await ensure_topics(mesh.connection, agent_topics(settings, mesh.topics, "holds"))
        processor, load = await worker(mesh), Load(mesh.topics.tasks("holds"))
        await processor.start()
        if "bytes" in sys.argv:
            print(await bytes_each(processor, load))
            return
        load.send(9)
        await until_parked(processor, 1)
        await latencies(processor, load)  # everything is imported and warm
        without = await latencies(processor, load)
        for _ in range(PARKED - 1):
            load.send(9)
        load.flush()
        await until_parked(processor, PARKED)
        within = await latencies(processor, load)
        await processor.drain(0)
        again = await worker(mesh)
        began = time.monotonic()
        await again.start()
        await until_parked(again, PARKED)
        figures = [percentile(values, share) for values in (*without, *within) for share in (0.5, 0.99)]
        print(*figures, time.monotonic() - began)
        await again.drain(0)


async def bytes_each(processor: Processor, load: Load) -> float:
    """Memory that is in use with all parked, less that before, for each."""
    load.send(9)
    await until_parked(processor, 1)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(PARKED):
        load.send(9)
    load.flush()
    await until_parked(processor, PARKED + 1)
    gc.collect()
    return (tracemalloc.get_traced_memory()[0] - before) / PARKED


if __name__ == "__main__":
    asyncio.run(main())
