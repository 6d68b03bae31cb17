"""How near to the ideal many waiting tasks come: prints ``efficiency``, tasks a second, CPU µs a task.

    python bench/in_flight.py BOOTSTRAP PREFIX (waits|keyed) IN_FLIGHT ROUNDS

Of ``waits`` IN_FLIGHT tasks are open at a time, half a second each: one is sent when one is over. A task of ``keyed``
takes a tenth of a second and waits for the one before of its key; there are IN_FLIGHT keys, and two tasks of each under
way. Efficiency is the ideal time over the time taken.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from agents_for_bench import Ticket, keyed, waits
from confluent_kafka import Producer

from aiosv3.agents import Limits
from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.workers import agent_processor, open_mesh, spare_collector

KINDS = {"waits": (waits, 0.5, 1), "keyed": (keyed, 0.1, 2)}
"""Name -> the agent, how long a task of it takes, and how many of each in flight are on their way to it or open."""


def encoded(number: int) -> bytes:
    """A task's record."""
    return Ticket(id=str(number), customer="c", text="t", priority=1, amount=1.0).model_dump_json().encode()


async def main(bootstrap: str, prefix: str, kind: str, in_flight: int, rounds: int) -> None:
    agent, wait_s, each = KINDS[kind]
    kafka = KafkaSettings(bootstrap=bootstrap, prefix=prefix, partitions=1)
    settings = Settings(kafka=kafka, state=Path(mkdtemp(prefix="aiosv3-bench-")))
    async with open_mesh(settings, "bench") as mesh:
        processor = await agent_processor(mesh, replace(agent, limits=Limits()))
        spare_collector()  # as a worker's process does
        await processor.start()
        while not processor.tenures or not processor.tenures[0].may_commit():
            await asyncio.sleep(0.01)
        offsets, topic = processor.tenures[0].offsets, mesh.topics.tasks(agent.name)
        total, sent = in_flight * rounds, 0
        producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1})
        began, cpu = time.monotonic(), time.process_time()
        while offsets.base < total:
            finished = offsets.next - offsets.open
            while sent < min(total, finished + each * in_flight):
                producer.produce(topic, encoded(sent), str(sent % in_flight).encode(), 0)
                sent += 1
            producer.poll(0)
            await asyncio.sleep(0.002)
        took = time.monotonic() - began
        print(wait_s * rounds / took, total / took, (time.process_time() - cpu) / total * 1e6)
        await processor.drain(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
