"""How near to the ideal tasks come that are ordered by key: prints ``efficiency``, tasks a second, CPU µs a task.

    python bench/keyed.py BOOTSTRAP PREFIX KEYS ROUNDS

Each task takes a tenth of a second, and waits for the one before of its key: at best KEYS of them go on at once.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from agents_for_bench import Ticket, keyed
from confluent_kafka import Producer

from aiosv3.agents import Limits
from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.workers import agent_processor, open_mesh, spare_collector

WAIT_S = 0.1


async def main(bootstrap: str, prefix: str, keys: int, rounds: int) -> None:
    kafka = KafkaSettings(bootstrap=bootstrap, prefix=prefix, partitions=1)
    settings = Settings(kafka=kafka, state=Path(mkdtemp(prefix="aiosv3-bench-")))
    async with open_mesh(settings, "bench") as mesh:
        processor = await agent_processor(mesh, replace(keyed, limits=Limits()), live_limit=2 * keys)
        spare_collector()
        await processor.start()
        while not processor.tenures or not processor.tenures[0].may_commit():
            await asyncio.sleep(0.01)
        total = keys * rounds
        producer = Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 1_000_000, "linger.ms": 5})
        for number in range(total):
            ticket = Ticket(id=str(number), customer="c", text="t", priority=1, amount=1.0)
            key = f"key-{number % keys}".encode()
            producer.produce(mesh.topics.tasks(keyed.name), ticket.model_dump_json().encode(), key, 0)
        began, cpu = time.monotonic(), time.process_time()
        producer.flush(60)
        while processor.tenures[0].offsets.base < total:
            await asyncio.sleep(0.01)
        took = time.monotonic() - began
        print(WAIT_S * rounds / took, total / took, (time.process_time() - cpu) / total * 1e6)
        await processor.drain(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
