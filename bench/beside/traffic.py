"""Tasks as every contender reads them, and what is seen of the results on the log, from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents_for_bench import Labelled, Ticket
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # exported, but not "as"

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, TaskEnvelope
from aiosv3.schemas.headers import Clearance, Grant, Route
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics

TEXT = "the card was charged twice"


def create(bootstrap: str, partitions: int, *names: str) -> None:
    """Creates topics, and waits until each has its leaders."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    config = {"message.timestamp.type": "LogAppendTime"}
    for future in admin.create_topics([NewTopic(name, partitions, config=config) for name in names]).values():
        future.result()


class Tasks:
    """Encoded tasks for an agent; other programs read the same bytes."""

    def __init__(self, agent: str, prefix: str, folder: Path) -> None:
        store = SchemaStore(folder / "schemas.lock.json", None)
        self._codec = Codec(store)
        self._schemas = AgentSchemas(agent, Ticket, Labelled, Topics(prefix))
        asyncio.run(self._schemas.register(store))

    def value(self, name: str, seconds: float) -> bytes:
        """A task that waits so long."""
        ticket = Ticket(id=name, customer=name, text=TEXT, priority=2, amount=seconds)
        return self._schemas.encode_task(self._codec, TaskEnvelope(name, ticket))


def headers(name: str) -> list[tuple[str, str | bytes | None]]:
    """The nine that a record inside the mesh has."""
    return [
        ("ce_id", name.encode()),
        ("ce_source", b"bench"),
        ("ce_type", b"aiosv3.task"),
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/avro"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("aios-grant", Grant("default", name, Clearance.INTERNAL, 1_000_000, None, 1).encode()),
        ("aios-route", Route(None, 0.2, 10, 10, first_sent=round(time.time() * 1e3)).encode()),
        ("x-ninth", b"1"),
    ]


class Line:
    """One pair of topics: tasks go in, results come out. ``partitions`` of both."""

    def __init__(self, bootstrap: str, source: str, sink: str, tasks: Tasks, partitions: int = 1) -> None:
        self.bootstrap, self.source, self.sink, self.partitions = bootstrap, source, sink, partitions
        self._tasks = tasks
        self._sent = 0
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 1_000_000, "linger.ms": 0}
        )
        self._reader: Consumer | None = None
        self._found: list[tuple[str, float]] = []
        self._watcher = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench-watch"})

    def send(self, names: Sequence[str], seconds: Sequence[float] | float = 0.0) -> None:
        """All at once; returns when the broker has them."""
        for name, value in self.encoded(names, seconds):
            self.produce(name, value)
        self._producer.flush(60)

    def encoded(self, names: Sequence[str], seconds: Sequence[float] | float = 0.0) -> list[tuple[str, bytes]]:
        """Names and values, to be sent when they are due."""
        waits = [seconds] * len(names) if isinstance(seconds, float) else seconds
        return [(name, self._tasks.value(name, wait)) for name, wait in zip(names, waits, strict=True)]

    def produce(self, name: str, value: bytes, key: str = "") -> None:
        """One task, to the partition whose turn it is; its name is its key unless it has one."""
        place = self._sent % self.partitions
        self._sent += 1
        self._producer.produce(self.source, value, (key or name).encode(), place, headers=headers(name))
        self._producer.poll(0)

    def close(self) -> None:
        """What is left is sent, and connections end."""
        self._producer.flush(10)
        self._watcher.close()
        if self._reader is not None:
            self._reader.close()

    def results(self) -> int:
        """How many records are in the sink."""
        return sum(self._ends())

    def _ends(self) -> list[int]:
        places = [TopicPartition(self.sink, number) for number in range(self.partitions)]
        return [self._watcher.get_watermark_offsets(place, timeout=10)[1] for place in places]

    def read(self) -> list[tuple[str, float]]:
        """Name and append time (seconds since the epoch) of every result until now; goes on where it was."""
        if self._reader is None:
            self._reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "bench-read"})
            self._reader.assign([TopicPartition(self.sink, number, 0) for number in range(self.partitions)])
        wanted, deadline = self.results(), time.monotonic() + 60
        while len(self._found) < wanted and time.monotonic() < deadline:
            for message in self._reader.consume(1_000, 0.2):
                if message.error() is None:
                    self._found.append((name_of(message.headers()), message.timestamp()[1] / 1e3))
        return self._found

    def latencies(self, names: Sequence[str], rate: float) -> list[float]:
        """Sends at a rate, whatever comes back; ms from the moment when each was due to its result in a reader."""
        reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "bench-read", "fetch.wait.max.ms": 100})
        reader.assign([TopicPartition(self.sink, number, end) for number, end in enumerate(self._ends())])
        reader.poll(0.2)
        values = [self._tasks.value(name, 0.0) for name in names]
        due: dict[str, float] = {}
        took: list[float] = []
        began, sent = time.perf_counter(), 0
        while len(took) < len(names) and time.perf_counter() < began + len(names) / rate + 30:
            now = time.perf_counter()
            while sent < len(names) and began + sent / rate <= now:
                due[names[sent]] = began + sent / rate
                self.produce(names[sent], values[sent])
                sent += 1
            message = reader.poll(min(0.001, 1 / rate))
            if message is not None and message.error() is None and (at := due.pop(name_of(message.headers()), None)):
                took.append((time.perf_counter() - at) * 1e3)
        reader.close()
        return took


def name_of(given: Any) -> str:
    """The task that a result belongs to, by its headers."""
    return next((value.decode() for name, value in given or () if name == "ce_id"), "")
