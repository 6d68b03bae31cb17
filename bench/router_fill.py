"""Fills ``prompts`` with model requests as an agent sends them, on partition 0.

python bench/router_fill.py BOOTSTRAP PREFIX COUNT
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

from confluent_kafka import Producer

from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.topology import base_topics
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import Message, ModelRequest, Prompt, Role
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.kafka import TopicSpec, ensure_topics
from aiosv3.streams.log import Outgoing

ASKER = "bench"
TEXT = "Which of the three departments should answer this letter? The card was charged twice and the shop says no. " * 4
DAY_MS = 86_400_000


def bench_settings(bootstrap: str, prefix: str, partitions: int = 1) -> Settings:
    """Settings of a mesh of its own on that broker."""
    kafka = KafkaSettings(bootstrap=bootstrap, prefix=prefix, partitions=partitions)
    return Settings(kafka=kafka, state=Path(mkdtemp(prefix="aiosv3-bench-")))


def asked(codec: Codec, topics: Topics, task: str, number: int, now: int) -> Outgoing:
    """One step of a task: 400 characters to a model, an answer of at most 64 tokens, a tree with a limit."""
    grant = Grant("acme", task, Clearance.INTERNAL, 5_000_000, now + DAY_MS, 1, cap=5_000_000)
    route = Route(ASKER, 0.2, len(TEXT) // 4, 64, first_sent=now, hash="3f1c0a9be4d27785")
    reply = Reply(topics.journal(ASKER), 0, number, task, "2", "5a1d4e")
    body = ModelRequest(task, task, task, "2", ASKER, Prompt((Message(Role.USER, TEXT),), None, 64))
    headers = [
        *event(b"aiosv3.model-request", f"{task}/2", f"{topics.tasks(ASKER)}/0/{number}".encode(), AVRO, TRACE),
        (GRANT, grant.encode()),
        (ROUTE, route.encode()),
        (REPLY, reply.encode()),
    ]
    return Outgoing(topics.prompts(), None, task.encode(), codec.encode(body), headers)


TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def fill(bootstrap: str, prefix: str, count: int) -> None:
    """``count`` requests, each of a tree of its own."""
    settings = bench_settings(bootstrap, prefix)
    async with open_mesh(settings, "fill") as mesh:
        journal = TopicSpec(mesh.topics.journal(ASKER), settings.kafka.partitions, "keep")
        await ensure_topics(mesh.connection, [*base_topics(settings, mesh.topics), journal])
        producer = Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 1_000_000, "linger.ms": 5})
        now = time.time_ns() // 1_000_000
        for number in range(count):
            made = asked(mesh.codec, mesh.topics, f"{ASKER}-{number}", number, now)
            producer.produce(made.topic, made.value, made.key, 0, headers=list(made.headers))
            if number % 1_000 == 0:
                producer.poll(0)
        producer.flush(60)


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1], sys.argv[2], int(sys.argv[3])))
