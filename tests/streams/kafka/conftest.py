"""A log, members of both group protocols, and a listener that keeps what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from aiosv3.streams.errors import AppendFailed
from aiosv3.streams.kafka import Connection, GroupProtocol, KafkaLog, KafkaMember
from aiosv3.streams.log import Appended, Committed, Outgoing, Record, Start

PROTOCOLS = [
    GroupProtocol("classic", 6_000, "asked for by the test"),
    GroupProtocol("consumer", 6_000, "asked for by the test"),
]


@dataclass
class Recorder:
    """A listener. Commits what it has seen when a partition is revoked, as a processor would."""

    input_topic: str
    journal_topic: str | None = None
    commits_on_revoke: bool = True
    refuses: frozenset[int] = frozenset()
    events: list[tuple[str, int]] = field(default_factory=list)
    commits: dict[int, Committed | None] = field(default_factory=dict)
    owned: dict[int, Start | None] = field(default_factory=dict)
    seen: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    foreign: list[Record] = field(default_factory=list)
    member: KafkaMember | None = None
    on_records: Callable[[Sequence[Record]], None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def starts(self, partition: int, committed: Committed | None, input_start: int, journal_start: int) -> Start | None:
        if partition in self.refuses:
            return None
        journal = None if self.journal_topic is None else journal_start
        return Start(input_start if committed is None else committed.offset, journal)

    def assigned(self, partition: int, start: Start | None, committed: Committed | None) -> None:
        self.events.append(("assigned", partition))
        self.owned[partition] = start
        self.commits[partition] = committed
        self._changed.set()

    def records(self, records: Sequence[Record]) -> None:
        for record in records:
            if self.owned.get(record.partition) is None:
                self.foreign.append(record)
            self.seen.setdefault((record.topic, record.partition), []).append(record.offset)
        if self.on_records is not None:
            self.on_records(records)
        self._changed.set()

    def revoked(self, partition: int) -> Committed | None:
        self.events.append(("revoked", partition))
        start = self.owned.pop(partition)
        self._changed.set()
        if start is None or not self.commits_on_revoke:
            return None
        seen = self.seen.get((self.input_topic, partition), [])
        return Committed(max([start.input, *(offset + 1 for offset in seen)]), f"left at {len(seen)}")

    def lost(self, partition: int) -> None:
        self.events.append(("lost", partition))
        self.owned.pop(partition)
        self._changed.set()

    async def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Waits for a condition that depends on what is told here."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Cluster:
    """What a test asks the broker for."""

    connection: Connection
    log: KafkaLog
    topics: Any
    members: list[KafkaMember] = field(default_factory=list)

    def member(self, group: str, listener: Recorder, **options: Any) -> KafkaMember:
        member = KafkaMember(self.connection, group, listener.input_topic, listener.journal_topic, **options)
        listener.member = member
        self.members.append(member)
        return member

    async def append(self, topic: str, partition: int | None, values: Iterable[bytes]) -> list[Appended]:
        """Appends and waits for all acknowledgements."""
        results = await self.try_append([Outgoing(topic, partition, b"key", value, []) for value in values])
        assert all(isinstance(result, Appended) for result in results), results
        return [result for result in results if isinstance(result, Appended)]

    async def try_append(self, records: Sequence[Outgoing]) -> list[Appended | AppendFailed]:
        return await append_all(self.log, records)


async def append_all(log: KafkaLog, records: Sequence[Outgoing]) -> list[Appended | AppendFailed]:
    """The results, in the order of the records."""
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[Appended | AppendFailed]] = [loop.create_future() for _ in records]
    for record, future in zip(records, futures, strict=True):
        log.append(record, future.set_result)
    return await asyncio.gather(*futures)


@pytest.fixture
async def cluster(kafka: str, kafka_topics: Any) -> AsyncIterator[Cluster]:
    connection = Connection(kafka)
    async with KafkaLog(connection) as log:
        cluster = Cluster(connection, log, kafka_topics)
        yield cluster
        await asyncio.gather(*(member.leave() for member in cluster.members))


@pytest.fixture(params=PROTOCOLS, ids=lambda protocol: protocol.name)
def protocol(request: pytest.FixtureRequest) -> GroupProtocol:
    """Both group protocols."""
    chosen: GroupProtocol = request.param
    return chosen
