"""An office: production workers, clients and a broker in memory, on the loop of the test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiosv3.agents import Agent, AgentSetup, AgentTenure, Client
from aiosv3.agents.client import Link
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.deltas import DELTA_TYPE, Delta, DeltaKind
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.records import JournalKind, JournalRecord
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.commit import Commit
from aiosv3.streams.following import PollingFollower
from aiosv3.streams.log import Committed, Log, Outgoing, Record
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import OWNER_TYPE, Wiring
from aiosv3.streams.testing import MemoryBroker, MemoryLog, MemoryMember

PARTITIONS = 3
DEADLINE_S = 30.0


class CountingFollower(PollingFollower):
    """Remembers which partitions were followed from where."""

    def __init__(self, log: Log) -> None:
        super().__init__(log, 0.002)
        self.followed: list[tuple[str, int, int]] = []

    async def follow(self, topic: str, partition: int, start: int) -> AsyncIterator[Sequence[Record]]:
        self.followed.append((topic, partition, start))
        async for batch in super().follow(topic, partition, start):
            yield batch


class ReadLog(MemoryLog):
    """Remembers which ranges were read."""

    def __init__(self, broker: MemoryBroker, name: str) -> None:
        super().__init__(broker, name)
        self.ranges: list[tuple[str, int, int, int]] = []

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        self.ranges.append((topic, partition, start, end))
        async for batch in super().read(topic, partition, start, end):
            yield batch


class Office:
    """``store``: what a registry would know, shared by all."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.topics = Topics()
        self.store = SchemaStore()
        self.codec = Codec(self.store)
        self._workers: list[Processor] = []
        for topic in (self.topics.prompts(), self.topics.dead_letters(), self.topics.approvals(), self.topics.deltas()):
            self.broker.create_topic(topic, PARTITIONS)

    def link(self, name: str = "client") -> Link:
        log = ReadLog(self.broker, name)

        async def counts(topic: str) -> int:
            return self.broker.partitions(topic)

        return Link(log, CountingFollower(log), self.codec, self.topics, counts, "memory:1")

    def client(self, link: Link | None = None) -> Client:
        @asynccontextmanager
        async def linked() -> AsyncIterator[Link]:
            made = link or self.link()
            yield made
            await made.follower.close()

        return Client(link=linked)

    def create_topics(self, agent: str) -> None:
        for topic in (self.topics.tasks(agent), self.topics.journal(agent), self.topics.results(agent)):
            self.broker.create_topic(topic, PARTITIONS)

    async def work(self, agent: Agent[Any, Any]) -> None:
        """A worker of an agent."""
        name, topics = agent.name, self.topics
        self.create_topics(name)
        schemas = AgentSchemas(name, agent.input_type, agent.output_type, topics, agent.state_type)
        await schemas.register(self.store)
        log = MemoryLog(self.broker, f"{name}-{len(self._workers)}")
        member = MemoryMember(self.broker, log, f"agent.{name}", topics.tasks(name), topics.journal(name))
        wiring = Wiring(
            name,
            topics.tasks(name),
            topics.results(name),
            topics.journal(name),
            log,
            member,
            lambda: int(time.time() * 1000),
            MetricsCatalogue().processor(name),
        )
        setup = AgentSetup(agent, schemas, self.codec, self.store, topics, b"secret", approvals=PARTITIONS)

        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> AgentTenure:
            return AgentTenure(wiring, partition, committed, start, setup=setup)

        processor = Processor(wiring, open_tenure)
        await processor.start()
        self._workers.append(processor)

    async def close(self) -> None:
        for worker in self._workers:
            await worker.drain(0.0)

    def of(self, topic: str) -> list[Record]:
        return list(self.broker.records(topic))

    def journaled(self, agent: str, kind: JournalKind) -> list[JournalRecord]:
        owner = OWNER_TYPE.encode()
        records = [r for r in self.of(self.topics.journal(agent)) if r.header("ce_type") != owner]
        found = [self.codec.decode_as(JournalRecord, record.value or b"") for record in records]
        return [record for record in found if record.kind is kind]

    def shows(
        self,
        task: str,
        text: str,
        sequence: int,
        *,
        attempt: int = 1,
        kind: DeltaKind = DeltaKind.TOKEN,
        partition: int = 0,
        step: str = "1",
        **fields: Any,
    ) -> None:
        """A delta, as a model worker sends it."""
        delta = Delta(task, task, "a", step, attempt, 0, sequence, kind, content=text or None, **fields)
        headers = event(DELTA_TYPE.encode(), f"{task}/{step}/0.{sequence}", b"test", AVRO, b"")
        value = self.codec.encode(delta)
        self.broker.append(Outgoing(self.topics.deltas(), partition, f"{task}/{step}".encode(), value, headers))


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    made = Office()
    yield made
    await made.close()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Any]:
    """Waits for a condition."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await asyncio.sleep(0.002)

    return wait
