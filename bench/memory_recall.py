"""Recalls through Kafka: from the request's append to the answer on the asker's journal.

python bench/memory_recall.py ours|bare BOOTSTRAP PREFIX CALLS CALLERS

With no CALLS it makes the topics. ``ours``: requests on ``memory.queries``, answered by a memory worker. ``bare``: the
same requests to a loop that consumes, searches the same store and produces. Prints one line of JSON: milliseconds of
each call.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from memory_fill import NOW, bench_settings, texts

from aiosv3.app.workers import Mesh, open_mesh
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.memory import MemoryAction, MemoryQuery
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.kafka import TopicSpec, ensure_topics

ASKER = "asker"
K = 10
_WARM = 20
"""Calls that are not counted."""
_DEADLINE_S = 300.0


class Asker:
    """Sends recalls, and hears the answers: their key is the task's id."""

    def __init__(self, mesh: Mesh, which: str) -> None:
        bootstrap = mesh.settings.kafka.bootstrap
        self._mesh = mesh
        self._bare = which == "bare"
        self._queries = f"{mesh.topics.prefix}bare.queries" if self._bare else mesh.topics.memory_queries()
        self.answers = f"{mesh.topics.prefix}bare.answers" if self._bare else mesh.topics.journal(ASKER)
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "acks": "all"})
        config = {"bootstrap.servers": bootstrap, "group.id": "asker", "enable.auto.commit": False}
        self._consumer = Consumer(config | {"fetch.wait.max.ms": 100})
        _, high = self._consumer.get_watermark_offsets(TopicPartition(self.answers, 0), timeout=30)
        self._consumer.assign([TopicPartition(self.answers, 0, high)])
        self._sent: dict[str, float] = {}

    def send(self, number: int, text: str) -> None:
        """One recall."""
        task = f"recall-{time.time_ns()}-{number}"
        query = MemoryQuery(task, task, task, "1", ASKER, MemoryAction.RECALL, k=K, content=text)
        headers: list[tuple[str, str | bytes | None]] = [
            *event(b"aiosv3.memory", task, b"bench", AVRO, b""),
            (GRANT, Grant("bench", task, Clearance.INTERNAL).encode()),
            (ROUTE, Route(ASKER, "auto", 0, 0, first_sent=NOW, hash="h").encode()),
            (REPLY, Reply(self.answers, 0, 0, task, "1", "token").encode()),
        ]
        self._sent[task] = time.perf_counter()
        by_key = -1
        self._producer.produce(
            self._queries, self._mesh.codec.encode(query), task.encode(), 0 if self._bare else by_key, headers=headers
        )
        self._producer.poll(0)

    def heard(self, patience: float) -> list[float]:
        """Milliseconds of the calls that were answered since; waits for the first."""
        took = []
        for message in [self._consumer.poll(patience), *self._consumer.consume(100, 0)]:
            if message is not None and message.error() is None:
                sent = self._sent.pop((message.key() or b"").decode(), None)
                took += [] if sent is None else [(time.perf_counter() - sent) * 1000]
        return took

    def run(self, calls: int, callers: int) -> list[float]:
        """So many calls, so many at once."""
        asked, took, end = iter(enumerate(texts(calls, 6, seed=11))), list[float](), time.monotonic() + _DEADLINE_S
        for _, (number, text) in zip(range(callers), asked, strict=False):
            self.send(number, text)
        while len(took) < calls:
            if time.monotonic() > end:
                raise SystemExit(f"{len(took)} of {calls} recalls were answered within {_DEADLINE_S:g} s")
            new = self.heard(1.0)
            took += new
            for _, (number, text) in zip(new, asked, strict=False):
                self.send(number, text)
        return took


async def main() -> None:
    """See above."""
    which, bootstrap, prefix, calls, callers = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
    settings = bench_settings(bootstrap, prefix)
    async with open_mesh(settings, "asker") as mesh:
        names = [mesh.topics.journal(ASKER), f"{prefix}bare.queries", f"{prefix}bare.answers"]
        await ensure_topics(mesh.connection, [TopicSpec(name, 1, "keep") for name in names])
        if not calls:
            print("[]")
            return
        asker = Asker(mesh, which)
        asker.run(_WARM, 1)
        print(json.dumps([round(one, 3) for one in asker.run(calls, callers)]))


if __name__ == "__main__":
    asyncio.run(main())
