"""What ``exactly_once`` costs: the same no-op agent with both guarantees, in turn, on one broker.

``python bench/guarantees.py [--count 20000] [--pairs 5] [--singles 200]``. Prints processor time and time on the clock
of a task of many, and from an event's append until a reader of committed records has the result of a single one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

from agents_for_bench import noop
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from fill import fill

from aiosv3.agents.agent import Guarantee
from aiosv3.app.localstack.kafka import KafkaServer
from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.workers import agent_processor, open_mesh


class Seen(NamedTuple):
    """Of one run: µs of processor time and of the clock a task; milliseconds of each single one."""

    cpu: float
    wall: float
    singles: list[float]


async def run(bootstrap: str, prefix: str, count: int, singles: int, guarantee: Guarantee) -> Seen:
    """``count`` tasks that wait on the topic, then ``singles`` of them one by one."""
    await fill(bootstrap, prefix, count)
    settings = Settings(
        kafka=KafkaSettings(bootstrap=bootstrap, prefix=prefix, partitions=1),
        state=Path(tempfile.mkdtemp(prefix="aiosv3-bench-")),
    )
    async with open_mesh(settings, "bench") as mesh:
        processor = await agent_processor(mesh, replace(noop, guarantee=guarantee))
        cpu, wall = time.process_time(), time.perf_counter()
        await processor.start()
        while not processor.tenures or processor.tenures[0].offsets.base < count:
            await asyncio.sleep(0.01)
        each = count / 1e6
        cpu, wall = (time.process_time() - cpu) / each, (time.perf_counter() - wall) / each
        alone = await asyncio.to_thread(one_by_one, bootstrap, prefix, singles)
        await processor.drain(0)
        return Seen(cpu, wall, alone)


def one_by_one(bootstrap: str, prefix: str, singles: int) -> list[float]:
    """Milliseconds from an event to its result."""
    tasks, results = f"{prefix}tasks.noop", f"{prefix}results.noop"
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{prefix}reader",
            "fetch.wait.max.ms": 50,
            "enable.auto.commit": False,
        }
    )
    _, end = consumer.get_watermark_offsets(TopicPartition(results, 0), timeout=30)
    consumer.assign([TopicPartition(results, 0, end)])
    first = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{prefix}first", "enable.auto.commit": False})
    first.assign([TopicPartition(tasks, 0, 0)])
    event = _poll(first)
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    old = cast("list[tuple[str, str | bytes | None]]", event.headers() or [])
    taken = []
    for number in range(singles + 5):
        headers = [header for header in old if header[0] != "ce_id"]
        began = time.perf_counter()
        producer.produce(
            tasks, event.value(), event.key(), 0, headers=[("ce_id", f"single-{number}".encode()), *headers]
        )
        producer.flush(30)
        _poll(consumer)
        taken.append((time.perf_counter() - began) * 1e3)
    consumer.close()
    first.close()
    return taken[5:]


def _poll(consumer: Consumer) -> Message:
    while True:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            return message


def main() -> None:
    """One broker, all pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--singles", type=int, default=200)
    options = parser.parse_args()
    seen: dict[Guarantee, list[Seen]] = {guarantee: [] for guarantee in Guarantee}
    with tempfile.TemporaryDirectory(prefix="aiosv3-bench-") as folder:
        kafka = KafkaServer(Path(folder) / "kafka")
        kafka.start()
        try:
            for number in range(options.pairs):
                for guarantee in list(Guarantee)[:: 1 if number % 2 else -1]:
                    prefix = f"{guarantee.value[:2]}{number}."
                    made = asyncio.run(run(kafka.bootstrap, prefix, options.count, options.singles, guarantee))
                    seen[guarantee].append(made)
                    print(f"{guarantee.value} {made.cpu:.0f} µs", file=sys.stderr, flush=True)
        finally:
            kafka.stop()
    for guarantee, runs in seen.items():
        singles = sorted(value for run in runs for value in run.singles)
        load = os.getloadavg()[0]
        print(
            f"{guarantee.value:14} {statistics.median(run.cpu for run in runs):5.0f} µs CPU, "
            f"{statistics.median(run.wall for run in runs):5.0f} µs a task; single p50 "
            f"{statistics.median(singles):.1f} ms, p99 {singles[int(len(singles) * 0.99)]:.1f} ms (load {load:.1f})"
        )


if __name__ == "__main__":
    main()
