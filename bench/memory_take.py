"""``memory.events`` into a view: as a memory worker does it, or a bare loop that decodes and inserts.

    python bench/memory_take.py ours|bare BOOTSTRAP PREFIX COUNT [ANSWERS]

Prints one line of JSON: processor time and time on the clock of the whole, an event. ``ours`` then builds the view anew
beside the live one, compares and switches, and tells what that took. With ANSWERS, ``bare`` says "ready" and then
answers so many recalls from ``bare.queries`` on ``bare.answers``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from memory_fill import PARTITIONS, bench_settings

from aiosv3.app.memories import memory_parts, open_view
from aiosv3.app.workers import Mesh, open_mesh, spare_collector
from aiosv3.memory.contents import PlainContents
from aiosv3.memory.rebuilding import Rebuild
from aiosv3.memory.views import Entry, Put, Query
from aiosv3.memory.views.embedded import EmbeddedView
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.memory import MemoryEvent, MemoryQuery

_BATCH = 1_000


class Clock:
    """Time since it was made, on the clock and of this process' threads."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def told(self, count: int) -> dict[str, float]:
        """Microseconds an event."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"cpu_us": round(cpu / count * 1e6, 2), "wall_us": round(wall / count * 1e6, 2)}


async def ours(bootstrap: str, prefix: str, count: int) -> dict[str, Any]:
    """A worker's own parts: follower, fold, view. Then a rebuild of the live view."""
    async with open_mesh(bench_settings(bootstrap, prefix), "take") as mesh:
        parts = await memory_parts(mesh)
        spare_collector()
        clock = Clock()
        await parts.feed.start()
        await parts.feed.ready.wait()
        taken = clock.told(count)
        held = await parts.feed.applier.view.digest("bench")
        assert held.count == count, held
        clock = Clock()
        rebuilt, before = await Rebuild(mesh.log, parts.feed, mesh.codec, PlainContents(), open_view).run()
        rebuilding = clock.told(rebuilt.records)
        assert rebuilt.digests["bench"] == held
        await before.close()
        await parts.close()
    return {"taken": taken, "rebuilt": rebuilding}


def entry(event: MemoryEvent, partition: int, offset: int, timestamp: int) -> Entry:
    """What a view keeps of an event."""
    import numpy as np

    return Entry(
        id=event.memory_id or "",
        version=offset,
        tenant=event.tenant,
        scope=f"{event.scope}@{event.clearance}",
        kind=event.kind or "",
        text=str(event.content),
        valid_from=event.first_sent,
        recorded_at=timestamp,
        content_hash=event.content_hash or "",
        subject=event.subject,
        speaker=event.speaker,
        vector=None if event.vector is None else np.frombuffer(event.vector, np.float32),
        embedder=event.embedder,
        source=event.source or "",
        position=event.position,
        partition=partition,
        offset=offset,
    )


async def bare(mesh: Mesh, count: int) -> tuple[EmbeddedView, dict[str, float]]:
    """One consumer, one decoder, one insert a batch: nothing is folded, so nothing may be forgotten or come twice."""
    view, taken, topic = EmbeddedView(), 0, mesh.topics.memory_events()
    spare_collector()
    clock = Clock()
    consumer = Consumer(
        {"bootstrap.servers": mesh.settings.kafka.bootstrap, "group.id": "bare", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    while taken < count:
        puts = []
        for message in consumer.consume(_BATCH, 0.05):
            event = mesh.codec.decode_as(MemoryEvent, message.value() or b"")
            where = message.partition() or 0, message.offset() or 0, message.timestamp()[1]
            puts.append(Put(entry(event, *where)))
        await view.apply(puts)
        taken += len(puts)
    told = clock.told(count)
    consumer.close()
    return view, told


async def answer(view: EmbeddedView, codec: Codec, bootstrap: str, prefix: str, count: int) -> None:
    """Consume, search, produce: no more than an answer takes."""
    plain = {"bootstrap.servers": bootstrap}
    config = plain | {"group.id": "bare-answers", "enable.auto.commit": False}
    consumer, producer = Consumer(config | {"fetch.wait.max.ms": 100}), Producer(plain | {"linger.ms": 0})
    consumer.assign([TopicPartition(f"{prefix}bare.queries", 0, 0)])
    print("ready", flush=True)
    for _ in range(count):
        while (message := consumer.poll(1.0)) is None:
            pass
        query = codec.decode_as(MemoryQuery, message.value() or b"")
        hits = await view.search(Query("bench", ["tenant@internal"], str(query.content), k=query.k))
        told = [{"id": hit.entry.id, "text": hit.entry.text, "score": hit.score} for hit in hits]
        producer.produce(f"{prefix}bare.answers", json.dumps(told).encode(), message.key(), 0)
        producer.poll(0)
    producer.flush(30)
    consumer.close()


async def main() -> None:
    """See above."""
    which, bootstrap, prefix, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    if which == "ours":
        print(json.dumps(await ours(bootstrap, prefix, count)))
        return
    async with open_mesh(bench_settings(bootstrap, prefix), "take") as mesh:
        view, told = await bare(mesh, count)
        print(json.dumps({"taken": told}), flush=True)
        if len(sys.argv) > 5:
            await answer(view, mesh.codec, bootstrap, prefix, int(sys.argv[5]))
        await view.close()


if __name__ == "__main__":
    asyncio.run(main())
