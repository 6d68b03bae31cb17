"""How near to the ideal many waiting tasks come: prints ``efficiency``, ideal seconds over seconds taken."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from agents_for_bench import Ticket, waits
from confluent_kafka import Producer

from aiosv3.agents import Limits
from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.topology import agent_topics
from aiosv3.app.workers import agent_processor, open_mesh, spare_collector
from aiosv3.streams.kafka import ensure_topics

BOOTSTRAP, PREFIX, IN_FLIGHT, ROUNDS = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
WAIT_S = 0.5


async def main() -> None:
    settings = Settings(
        kafka=KafkaSettings(bootstrap=BOOTSTRAP, prefix=PREFIX, partitions=1),
        state=Path(mkdtemp(prefix="aiosv3-bench-")),
    )
    async with open_mesh(settings, "bench") as mesh:
        await ensure_topics(mesh.connection, agent_topics(settings, mesh.topics, "waits"))
        processor = await agent_processor(mesh, replace(waits, limits=Limits()), live_limit=IN_FLIGHT)
        spare_collector()  # as a worker's process does
        await processor.start()
        while not processor.tenures or not processor.tenures[0].may_commit():
            await asyncio.sleep(0.01)
        total = IN_FLIGHT * ROUNDS
        producer = Producer({"bootstrap.servers": BOOTSTRAP, "queue.buffering.max.messages": 1_000_000, "linger.ms": 5})
        for number in range(total):
            ticket = Ticket(id=str(number), customer="c", text="t", priority=1, amount=1.0)
            producer.produce(mesh.topics.tasks("waits"), ticket.model_dump_json().encode(), str(number).encode(), 0)
        began, cpu = time.monotonic(), time.process_time()
        producer.flush(60)
        while processor.tenures[0].offsets.base < total:
            await asyncio.sleep(0.01)
        took = time.monotonic() - began
        used = (time.process_time() - cpu) / total * 1e6
        print(f"{WAIT_S * ROUNDS / took} {took} {used}")
        await processor.drain(0)


if __name__ == "__main__":
    asyncio.run(main())
