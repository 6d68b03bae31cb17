"""Three durable steps of 1 KiB, one after the other, from the caller's view: prints four numbers.

    python bench/steps.py BOOTSTRAP PREFIX SEQUENTIAL TOGETHER [STEPS]

p50 and p99 in milliseconds of SEQUENTIAL workflows, each begun when the one before has its result; workflows a second
of TOGETHER ones, 50 of them at a time; processor time of each of these in microseconds, caller's included. STEPS: 0, 1
or 3.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from agents_for_bench import Ticket, noop, one_step, three_steps
from confluent_kafka import Consumer, Producer, TopicPartition
from measures import percentile

from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.workers import agent_processor, open_mesh, spare_collector

AT_ONCE = 50
AGENTS = {0: noop, 1: one_step, 3: three_steps}
DEADLINE_S = 120.0


class Caller:
    """Sends tasks and reads results, on a thread of its own: plain confluent-kafka, as any client."""

    def __init__(self, bootstrap: str, tasks: str, results: str) -> None:
        self._tasks = tasks
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "bench-steps", "fetch.wait.max.ms": 100}
        )  # fmt: skip
        self._consumer.assign([TopicPartition(results, 0, 0)])
        self._sent = 0

    def send(self) -> None:
        """One more task."""
        ticket = Ticket(id=str(self._sent), customer="c", text="t", priority=1, amount=1.0)
        self._producer.produce(self._tasks, ticket.model_dump_json().encode(), str(self._sent).encode(), 0)
        self._producer.poll(0)
        self._sent += 1

    def receive(self) -> None:
        """Waits for one more result."""
        deadline = time.monotonic() + DEADLINE_S
        while (message := self._consumer.poll(0.1)) is None or message.error() is not None:
            if time.monotonic() > deadline:
                raise SystemExit("no result in time")

    def one_after_the_other(self, count: int) -> list[float]:
        """Milliseconds of each."""
        took = []
        for _ in range(count):
            began = time.monotonic()
            self.send()
            self.receive()
            took.append((time.monotonic() - began) * 1_000)
        return took

    def together(self, count: int) -> float:
        """Workflows a second."""
        began = time.monotonic()
        for _ in range(min(AT_ONCE, count)):
            self.send()
        for number in range(count):
            self.receive()
            if number + AT_ONCE < count:
                self.send()
        return count / (time.monotonic() - began)


async def on_thread(work: Callable[[], None]) -> None:
    """Runs it beside the loop; an error in it ends the process."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- raised below
            failed.append(error)
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=run, daemon=True).start()
    await ended.wait()
    if failed:
        raise failed[0]


async def main(bootstrap: str, prefix: str, sequential: int, together: int, steps: int = 3) -> None:
    kafka = KafkaSettings(bootstrap=bootstrap, prefix=prefix, partitions=1)
    settings = Settings(kafka=kafka, state=Path(mkdtemp(prefix="aiosv3-bench-")))
    async with open_mesh(settings, "bench") as mesh:
        chosen = AGENTS[steps]
        processor = await agent_processor(mesh, chosen)
        spare_collector()
        await processor.start()
        while not processor.tenures or not processor.tenures[0].may_commit():
            await asyncio.sleep(0.01)
        topics, name = mesh.topics, chosen.name
        caller = Caller(bootstrap, topics.tasks(name), topics.results(name))
        found: list[float] = []

        def work() -> None:
            caller.one_after_the_other(20)
            took = caller.one_after_the_other(sequential)
            cpu = time.process_time()
            rate = caller.together(together)
            used = (time.process_time() - cpu) / together * 1e6
            found.extend((percentile(took, 0.5), percentile(took, 0.99), rate, used))

        await on_thread(work)
        print(*found)
        await processor.drain(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])))
