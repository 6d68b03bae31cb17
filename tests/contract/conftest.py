"""The two worlds in which the contract of the log port holds: the double in memory, and a real broker."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from aiosv3.streams.errors import AppendFailed
from aiosv3.streams.kafka import Connection, KafkaLog, KafkaMember, LogSettings
from aiosv3.streams.log import Appended, Committed, Headers, Log, Member, Outgoing, Record, Start
from aiosv3.streams.testing import MemoryBroker, MemoryLog, MemoryMember, TopicSettings

DEADLINE = 40.0


class Recorder:
    """A listener that writes down what it hears. ``until`` waits for a condition on it."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.found: dict[int, tuple[Committed | None, int, int]] = {}
        self.commits: dict[int, Committed | None] = {}
        self.by_partition: dict[tuple[str, int], list[Record]] = {}
        self.owned: set[int] = set()
        self.refuse: set[int] = set()
        self.last: Callable[[int], Committed | None] = lambda partition: None
        self.begin: Callable[[int, int, int], Start] = lambda partition, first, journal: Start(first, journal)
        self._changed = asyncio.Event()

    def starts(self, partition: int, committed: Committed | None, input_start: int, journal_start: int) -> Start | None:
        self.found[partition] = (committed, input_start, journal_start)
        if partition in self.refuse:
            return None
        return self.begin(partition, committed.offset if committed else input_start, journal_start)

    def assigned(self, partition: int, start: Start | None, committed: Committed | None) -> None:
        assert partition not in self.owned
        assert partition in self.found
        self.owned.add(partition)
        self.commits[partition] = committed
        self._hear("assigned", partition)

    def records(self, records: Sequence[Record]) -> None:
        for record in records:
            assert record.partition in self.owned, "records only between assigned and revoked or lost"
            self.by_partition.setdefault((record.topic, record.partition), []).append(record)
            self._hear("record", record.partition)

    def revoked(self, partition: int) -> Committed | None:
        self.owned.remove(partition)
        self._hear("revoked", partition)
        return self.last(partition)

    def lost(self, partition: int) -> None:
        self.owned.remove(partition)
        self._hear("lost", partition)

    def offsets(self, topic: str, partition: int) -> list[int]:
        return [record.offset for record in self.by_partition.get((topic, partition), [])]

    def values(self, topic: str, partition: int) -> list[bytes | None]:
        return [record.value for record in self.by_partition.get((topic, partition), [])]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _hear(self, what: str, partition: int) -> None:
        self.heard.append((what, partition))
        self._changed.set()


class World(ABC):
    """Topics, one log, and members that leave at the end."""

    log: Log

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._left: list[Member] = []

    @abstractmethod
    def topic(self, name: str, partitions: int = 1, *, compact: bool = False, max_bytes: int | None = None) -> str:
        """Creates a topic; returns its full name."""

    @abstractmethod
    def make_member(self, group: str, topic: str, journal: str | None) -> Member: ...

    def recorder(self) -> Recorder:
        return Recorder()

    async def member(
        self, group: str, topic: str, journal: str | None = None, recorder: Recorder | None = None
    ) -> tuple[Member, Recorder]:
        """One that has joined."""
        member, recorder = self.make_member(group, topic, journal), recorder or Recorder()
        self._members.append(member)
        await member.join(recorder)
        return member, recorder

    async def leave(self, member: Member) -> None:
        self._left.append(member)
        await member.leave()

    async def append(
        self,
        topic: str,
        value: bytes | None = b"value",
        *,
        partition: int | None = 0,
        key: bytes | None = None,
        headers: Headers | None = None,
    ) -> Appended:
        """Appends one and waits; raises what went wrong."""
        return (await self.append_all([Outgoing(topic, partition, key, value, headers or [])]))[0]

    async def append_all(self, records: Sequence[Outgoing]) -> list[Appended]:
        """Appends without waiting in between; the acknowledgements in the order in which they came."""
        told: list[Appended | AppendFailed] = []
        enough = asyncio.Event()

        def done(outcome: Appended | AppendFailed) -> None:
            told.append(outcome)
            if len(told) == len(records):
                enough.set()

        for record in records:
            self.log.append(record, done)
        assert told == [], "done is never called from inside append"
        async with asyncio.timeout(DEADLINE):
            await enough.wait()
        acks = []
        for outcome in told:
            if isinstance(outcome, AppendFailed):
                raise outcome
            acks.append(outcome)
        return acks

    async def read(self, topic: str, start: int, end: int, partition: int = 0) -> list[Record]:
        async with asyncio.timeout(DEADLINE):
            return [record async for batch in self.log.read(topic, partition, start, end) for record in batch]

    async def close(self) -> None:
        for member in self._members:
            if member not in self._left:
                await member.leave()


class MemoryWorld(World):
    def __init__(self) -> None:
        super().__init__()
        self.broker = MemoryBroker()
        self.log = MemoryLog(self.broker, "contract")

    def topic(self, name: str, partitions: int = 1, *, compact: bool = False, max_bytes: int | None = None) -> str:
        settings: dict[str, Any] = {"cleanup": "compact" if compact else "delete"}
        if max_bytes is not None:
            settings["max_message_bytes"] = max_bytes
        self.broker.create_topic(name, partitions, TopicSettings(**settings))
        return name

    def make_member(self, group: str, topic: str, journal: str | None) -> Member:
        log = MemoryLog(self.broker, f"process-{len(self._members)}")
        return MemoryMember(self.broker, log, group, topic, journal)


class KafkaWorld(World):
    def __init__(self, bootstrap: str, topics: Any) -> None:
        super().__init__()
        self._connection = Connection(bootstrap)
        self._topics = topics
        self._log = KafkaLog(self._connection, LogSettings(isolation="read_committed"))
        self.log = self._log

    def topic(self, name: str, partitions: int = 1, *, compact: bool = False, max_bytes: int | None = None) -> str:
        config = {"cleanup.policy": "compact"} if compact else {}
        if max_bytes is not None:
            config["max.message.bytes"] = str(max_bytes)
        full: str = self._topics.create(name, partitions, config)
        return full

    def make_member(self, group: str, topic: str, journal: str | None) -> Member:
        member: Member = KafkaMember(self._connection, self._topics.prefix + group, topic, journal)
        return member

    async def close(self) -> None:
        await super().close()
        await self._log.close()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def new_world(request: pytest.FixtureRequest) -> Callable[[], World]:
    if request.param == "memory":
        return MemoryWorld
    bootstrap, topics = request.getfixturevalue("kafka"), request.getfixturevalue("kafka_topics")
    return lambda: KafkaWorld(bootstrap, topics)


@pytest.fixture
async def world(new_world: Callable[[], World]) -> AsyncIterator[World]:
    made = new_world()
    yield made
    await made.close()


@pytest.fixture
def memory_world() -> Callable[[], World]:
    return MemoryWorld


@pytest.fixture
def both_worlds(kafka: str, kafka_topics: Any) -> tuple[Callable[[], World], ...]:
    return MemoryWorld, lambda: KafkaWorld(kafka, kafka_topics)
