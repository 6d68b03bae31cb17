"""Fills ``memory.events`` with memories as a memory worker writes them: turns of conversations, by partition.

python bench/memory_fill.py BOOTSTRAP PREFIX COUNT VECTORS

Words follow Zipf's law over 50,000 of them, 16 a turn; 20 turns a conversation, each about its own subject. VECTORS 1:
with the 384 numbers that an embedder would have made.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from confluent_kafka import Producer

from aiosv3.app.memorysettings import MemorySettings
from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.topology import base_topics
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.memory import MemoryAction, MemoryEvent
from aiosv3.schemas.records import Outcome
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.kafka import ensure_topics

PARTITIONS = 6
TURNS = 20
WORDS = 50_000
LENGTH = 16
DIMENSIONS = 384
NOW = 1_750_000_000_000
_DIFFERENT = 1_000
_ROOM = 1_000_000


def bench_settings(bootstrap: str, prefix: str) -> Settings:
    """Settings of a mesh of its own on that broker, without an embedder."""
    kafka = KafkaSettings(bootstrap=bootstrap, prefix=prefix, partitions=PARTITIONS)
    state = Path(mkdtemp(prefix="aiosv3-bench-"))
    return Settings(kafka=kafka, state=state, memory=MemorySettings(embedder="none"))


def texts(count: int, length: int = LENGTH, seed: int = 7) -> list[str]:
    """Texts without meaning, some of whose words are frequent; the same for the same seed."""
    chances = 1 / np.arange(10, WORDS + 10)
    chosen = np.random.default_rng(seed).choice(WORDS, (count, length), p=chances / chances.sum())
    return [" ".join(f"w{number}x" for number in row) for row in chosen.tolist()]


def remembered(number: int, text: str, vector: bytes | None) -> MemoryEvent:
    """The event of one turn."""
    conversation, turn = divmod(number, TURNS)
    return MemoryEvent(
        request_id=f"task-{number}/2",
        root_id=f"task-{number}",
        task_id=f"task-{number}",
        step_id="2",
        agent="clerk",
        input_offset=number,
        epoch=1,
        request_hash="3f1c0a9be4d27785",
        first_sent=NOW + number,
        reply=None,
        outcome=Outcome.OK,
        error=None,
        action=MemoryAction.REMEMBER,
        tenant="bench",
        clearance="internal",
        memory_id=f"{conversation:016x}{turn:024x}",
        scope="tenant",
        subject=f"{conversation:032x}",
        kind="episode",
        source=f"conversation {conversation}",
        position=turn,
        speaker=f"speaker {number % 50}",
        content_hash=f"{number:032x}",
        content=text,
        vector=vector,
        embedder=None if vector is None else "bench",
    )


async def fill(bootstrap: str, prefix: str, count: int, *, vectors: bool) -> None:
    """``count`` memories; all turns of a conversation are of one partition."""
    settings = bench_settings(bootstrap, prefix)
    made = np.random.default_rng(3).standard_normal((_DIFFERENT, DIMENSIONS), np.float32)
    async with open_mesh(settings, "fill") as mesh:
        await ensure_topics(mesh.connection, base_topics(settings, mesh.topics))
        producer = Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": _ROOM, "linger.ms": 5})
        topic = mesh.topics.memory_events()
        for number, text in enumerate(texts(count)):
            told = remembered(number, text, made[number % _DIFFERENT].tobytes() if vectors else None)
            headers: list[tuple[str, str | bytes | None]] = []
            headers += event(b"aiosv3.memory-event", told.request_id, b"memory.queries/0/1", AVRO, b"")
            key, place = told.memory_id or "", number // TURNS % PARTITIONS
            producer.produce(topic, mesh.codec.encode(told), key[:16].encode(), place, headers=headers)
            if number % 1_000 == 0:
                producer.poll(0)
        producer.flush(120)


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1], sys.argv[2], int(sys.argv[3]), vectors=sys.argv[4] == "1"))
