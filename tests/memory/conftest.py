"""A mesh with memory on the in-memory broker and the real event loop: agents, memory workers, a view of dicts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from aiosv3.agents import Agent, AgentSetup, AgentTenure, Context, Limits, Order
from aiosv3.memory.applying import Applier
from aiosv3.memory.contents import Contents, PlainContents
from aiosv3.memory.embedding import Embedding
from aiosv3.memory.feed import Feed
from aiosv3.memory.keeping import Keeper, load
from aiosv3.memory.past import PastViews
from aiosv3.memory.rebuilding import LiveRebuild, Rebuild
from aiosv3.memory.recalling import Recalling
from aiosv3.memory.tenure import SWEEP_S, MemoryTenure
from aiosv3.memory.views.port import Change, Digest, Entry, Hit, Put, Query
from aiosv3.memory.worker import MemoryWorker
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope
from aiosv3.schemas.headers import CE_ID, Clearance, Grant, Reply, Route
from aiosv3.schemas.memory import (
    MemoryAction,
    MemoryEvent,
    MemoryPosition,
    MemoryQuery,
    memory_id_of,
    place_of,
    subject_of,
)
from aiosv3.schemas.records import JournalRecord, Outcome
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.commit import Commit
from aiosv3.streams.following import PollingFollower
from aiosv3.streams.log import Committed, Outgoing, Record
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.partitioner import murmur2_partition
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import Tenure, Wiring
from aiosv3.streams.testing import MemoryBroker, MemoryClaims, MemoryLog, MemoryMember

SECRET: Final = b"a secret of tests"
NOW: Final = 1_750_000_000_000
DEADLINE_S: Final = 30.0
Vector = NDArray[np.float32]
Program = Callable[[Context, Any], Awaitable[Any]]


class DictView:
    """The view port in its simplest form: a hit has a word of the query, or its vector is near."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], Entry] = {}
        self.floors: dict[tuple[str, str], int] = {}
        self.trouble: Exception | None = None
        self.queries: list[Query] = []

    async def apply(self, changes: Sequence[Change]) -> None:
        if self.trouble is not None:
            raise self.trouble
        for change in changes:
            if isinstance(change, Put):
                key, version = (change.entry.tenant, change.entry.id), change.entry.version
            else:
                key, version = (change.tenant, change.id), change.version
            if version <= self.floors.get(key, -1):
                continue
            self.floors[key] = version
            self.entries.pop(key, None)
            if isinstance(change, Put):
                self.entries[key] = change.entry

    async def search(self, query: Query) -> list[Hit]:
        if self.trouble is not None:
            raise self.trouble
        self.queries.append(query)
        words = set(query.text.lower().split())
        hits = []
        for entry in self.entries.values():
            common = len(words & set(entry.text.lower().split()))
            fits = entry.tenant == query.tenant and entry.scope in query.scopes and entry.trust >= query.min_trust
            fits = fits and (query.kinds is None or entry.kind in query.kinds)
            fits = fits and entry.source not in query.without_sources
            fits = fits and (query.subject is None or entry.subject == query.subject)
            if fits and (common or not words):
                hits.append(Hit(entry, float(common)))
        return sorted(hits, key=lambda hit: (-hit.score, -hit.entry.version, hit.entry.id))[: query.k]

    async def get(self, tenant: str, ids: Collection[str]) -> list[Entry]:
        return [self.entries[tenant, one] for one in sorted(ids) if (tenant, one) in self.entries]

    async def digest(self, tenant: str) -> Digest:
        kept = [entry for (owner, _), entry in self.entries.items() if owner == tenant]
        total = 0
        for entry in kept:
            said = f"{entry.id}/{entry.version}/{entry.content_hash}".encode()
            total ^= int.from_bytes(hashlib.blake2b(said, digest_size=16).digest(), "big")
        return Digest(len(kept), f"{total:032x}")

    async def purge(self, tenant: str, *, subject: str | None = None, ids: Collection[str] = ()) -> int:
        gone = [
            key
            for key, entry in self.entries.items()
            if key[0] == tenant and (key[1] in ids or (subject is not None and entry.subject == subject))
        ]
        for key in gone:
            del self.entries[key]
        return len(gone)

    async def close(self) -> None:
        self.entries.clear()


class HashEmbedder:
    """A vector out of a text's hash: the same text has the same one."""

    name = "hash"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.gate: asyncio.Event | None = None
        self.trouble: Exception | None = None
        self.length = 32

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        self.calls.append(list(texts))
        if self.trouble is not None:
            raise self.trouble
        if self.gate is not None:
            await self.gate.wait()
        return [self._vector(text) for text in texts]

    async def close(self) -> None:
        self.calls.clear()

    def _vector(self, text: str) -> Vector:
        raw = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=self.length).digest(), dtype=np.uint8)
        vector = raw.astype(np.float32) - 128
        return vector / np.linalg.norm(vector)


class Memory:
    """One memory worker: its view, its feed, its processor."""

    def __init__(self, stage: Stage, name: str, embedder: HashEmbedder | None, contents: Contents) -> None:
        self.stage = stage
        self.log = MemoryLog(stage.broker, name)
        topics, codec = stage.topics, stage.codec
        self.contents = contents
        self.view = DictView()
        self.follower = PollingFollower(self.log, 0.005)
        applier = Applier(self.view, codec, self.contents)
        events, states = topics.memory_events(), topics.memory_state()

        async def load_states(partition: int, into: Applier) -> None:
            await load(self.log, states, partition, into, events)

        self.feed = Feed(self.log, self.follower, events, stage.partitions, applier, load_states)
        embedding = Embedding(embedder, rest=0.0)
        past = PastViews(self.log, self.feed, codec, self.contents, _fresh)
        recalling = Recalling(self.feed, embedding, past)
        self.rebuilds = 0
        live = LiveRebuild(self._rebuild)
        self.worker = MemoryWorker(codec, SECRET, stage.teams, self.contents, embedding, recalling, stage.clock, live)
        member = MemoryMember(stage.broker, self.log, "memory", topics.memory_queries(), None)
        queries = topics.memory_queries()
        metrics = MetricsCatalogue().processor(name)
        self.wiring = Wiring(name, queries, events, None, self.log, member, stage.clock, metrics)
        self.processor = Processor(self.wiring, self._open, commit_every=0.05)

    def _rebuild(self) -> Rebuild:
        self.rebuilds += 1
        return Rebuild(self.log, self.feed, self.stage.codec, self.contents, _fresh)

    def _open(self, partition: int, committed: Committed | None, start: Commit) -> Tenure:
        dead, codec = self.stage.topics.dead_letters(), self.stage.codec
        keeper = Keeper(self.log, self.stage.topics.memory_state(), partition, self.feed, codec)
        return MemoryTenure(
            self.wiring,
            partition,
            committed,
            start,
            worker=self.worker,
            limit=64,
            dead_letters=dead,
            keeper=keeper,
            sweep=self.stage.sweep,
        )


async def _fresh() -> DictView:
    return DictView()


class Stage:
    """``async with stage.memory() as memory, stage.agent(program): …``"""

    def __init__(self, partitions: int = 2) -> None:
        self.broker = MemoryBroker()
        self.partitions = partitions
        self.topics = Topics()
        self.store = SchemaStore()
        self.codec = Codec(self.store)
        self.teams: dict[str, list[str]] = {"support": ["worker", "helper"]}
        self.asked = 0
        self.sweep = SWEEP_S
        self._schemas: dict[str, AgentSchemas] = {}
        topics = self.topics
        for name in (topics.memory_queries(), topics.memory_events(), topics.memory_state()):
            self.broker.create_topic(name, partitions)
        for name in (topics.dead_letters(), topics.prompts(), "aios.journal.tester"):
            self.broker.create_topic(name, 1)

    @staticmethod
    def clock() -> int:
        return time.time_ns() // 1_000_000

    @asynccontextmanager
    async def memory(
        self, name: str = "memory", embedder: HashEmbedder | None = None, contents: Contents | None = None
    ) -> AsyncIterator[Memory]:
        """A memory worker, until the end of the block."""
        memory = Memory(self, name, embedder, contents or PlainContents())
        await memory.feed.start()
        await memory.processor.start()
        try:
            yield memory
        finally:
            await memory.processor.drain(0.0)
            await memory.feed.close()

    @asynccontextmanager
    async def agent(self, program: Program, name: str = "worker", **types: Any) -> AsyncIterator[None]:
        """A worker of an agent whose input and output are anything."""
        topics = self.topics
        for topic in (topics.tasks(name), topics.journal(name), topics.results(name)):
            self.broker.create_topic(topic, 1)
        made = Agent(name, program, Any, Any, version="v1", order=Order.START, limits=Limits(), **types)
        schemas = self._schemas[name] = AgentSchemas(name, made.input_type, made.output_type, topics)
        await schemas.register(self.store)
        setup = AgentSetup(made, schemas, self.codec, self.store, topics, SECRET, claims=MemoryClaims())
        log = MemoryLog(self.broker, name)
        member = MemoryMember(self.broker, log, name, topics.tasks(name), topics.journal(name))
        metrics = MetricsCatalogue().processor(name)
        wiring = Wiring(
            name, topics.tasks(name), topics.results(name), topics.journal(name), log, member, self.clock, metrics
        )

        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> Tenure:
            return AgentTenure(wiring, partition, committed, start, setup=setup)

        processor = Processor(wiring, open_tenure)
        await processor.start()
        try:
            yield
        finally:
            await processor.drain(0.0)

    async def run(
        self,
        task_id: str,
        value: Any = None,
        name: str = "worker",
        *,
        tenant: str = "acme",
        clearance: str = "internal",
    ) -> ResultEnvelope[Any]:
        """A task's result."""
        headers = [(CE_ID, task_id.encode()), ("ce_tenant", tenant.encode())]
        headers.append(("ce_dataclassification", clearance.encode()))
        self.broker.append(Outgoing(self.topics.tasks(name), 0, b"key", json.dumps(value).encode(), headers))
        await until(lambda: task_id in self.results(name))
        return self.results(name)[task_id]

    def results(self, name: str = "worker") -> dict[str, ResultEnvelope[Any]]:
        records = self.broker.records(self.topics.results(name), 0)
        decoded = [self._schemas[name].decode_result(self.codec, record.value) for record in records if record.value]
        return {result.task_id: result for result in decoded}

    def everything(self) -> bytes:
        """Every byte of every record of every topic of memory, but for the requests."""
        parts: list[bytes] = []
        for topic in (self.topics.memory_events(), self.topics.memory_state(), "aios.journal.tester"):
            for record in self.broker.records(topic):
                parts += [record.key or b"", record.value or b"", *(value for _, value in record.headers)]
        return b"\0".join(parts)

    def known(self) -> tuple[MemoryPosition, ...]:
        """All that is on the memory log, for a recall that must know it."""
        ends = {record.partition: record.offset for record, _ in self.events()}
        return tuple(MemoryPosition(*end) for end in sorted(ends.items()))

    # -- requests by hand -----------------------------------------------------------------------------------------

    def send(
        self,
        query: MemoryQuery,
        *,
        agent: str | None = "tester",
        tenant: str = "acme",
        clearance: Clearance = Clearance.INTERNAL,
        sent: int = NOW,
        request_id: str | None = None,
        key: str | None = None,
    ) -> str:
        """Appends a request as an agent's worker does; the id under which its answer comes."""
        self.asked += 1
        request_id = request_id or f"ask-{self.asked}"
        headers = event(b"aiosv3.memory", request_id, b"test", AVRO, b"")
        headers.append(("aios-grant", Grant(tenant, request_id, clearance).encode()))
        headers.append(("aios-route", Route(agent, "auto", 0, 0, first_sent=sent, hash="h").encode()))
        reply = Reply("aios.journal.tester", 0, 0, request_id, "1", "token")
        headers.append(("aios-reply", reply.encode()))
        place = (key or query.place or request_id).encode()
        partition = murmur2_partition(place, self.partitions)
        self.broker.append(Outgoing(self.topics.memory_queries(), partition, place, self.codec.encode(query), headers))
        return request_id

    async def answer(self, request_id: str) -> JournalRecord:
        """The first answer to a request."""
        await until(lambda: request_id in self.answers())
        return self.answers()[request_id]

    def answers(self) -> dict[str, JournalRecord]:
        found: dict[str, JournalRecord] = {}
        for record in self.broker.records("aios.journal.tester", 0):
            said = self.codec.decode_as(JournalRecord, record.value or b"")
            found.setdefault(said.task_id, said)
        return found

    async def ask(self, query: MemoryQuery, **headers: Any) -> Any:
        """The content of the answer; an error's type and words where it fails."""
        said = await self.answer(self.send(query, **headers))
        if said.outcome is not Outcome.OK:
            assert said.error is not None
            return said.error.type, said.error.message
        return json.loads(str(said.content))

    async def texts(self, query: MemoryQuery, **headers: Any) -> list[str]:
        """What a recall finds."""
        return [one["text"] for one in (await self.ask(query, **headers))["memories"]]

    def events(self) -> list[tuple[Record, MemoryEvent]]:
        """The memory log, markers left out."""
        topic = self.topics.memory_events()
        records = [record for number in range(self.partitions) for record in self.broker.records(topic, number)]
        return [(one, self.codec.decode_as(MemoryEvent, one.value)) for one in records if one.value is not None]


def remembering(
    text: str, subject: str | None = None, scope: str = "tenant", tenant: str = "acme", **said: Any
) -> MemoryQuery:
    """A request to remember, as the SDK makes it."""
    about = None if subject is None else subject_of(SECRET, tenant, subject)
    kind = said.setdefault("kind", "fact")
    name = said.pop("name", None)
    place = place_of(SECRET, tenant, scope, about)
    memory_id = memory_id_of(SECRET, tenant, place, scope, kind, name or text)
    return MemoryQuery(
        "", "", "task", "1", "liar", MemoryAction.REMEMBER, place, memory_id, scope, about, content=text, **said
    )


def recalling(text: str = "", **asked: Any) -> MemoryQuery:
    """A request to recall."""
    asked.setdefault("k", 10)
    return MemoryQuery("", "", "task", "1", "liar", MemoryAction.RECALL, content=text or None, **asked)


def forgetting(subject: str | None = None, memory_id: str | None = None, tenant: str = "acme") -> MemoryQuery:
    """A request to forget."""
    about = None if subject is None else subject_of(SECRET, tenant, subject)
    place = (memory_id or "")[:16] if about is None else place_of(SECRET, tenant, "tenant", about)
    return MemoryQuery("", "", "task", "1", "liar", MemoryAction.FORGET, place, memory_id, subject=about)


async def until(condition: Callable[[], Any]) -> None:
    """Waits for a condition, turn by turn of the event loop."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


class Words:
    """What tests say: requests by hand, and waiting."""

    remember = staticmethod(remembering)
    recall = staticmethod(recalling)
    forget = staticmethod(forgetting)
    until = staticmethod(until)

    @staticmethod
    def about(subject: str, tenant: str = "acme") -> str:
        """The keyed hash of a subject."""
        return subject_of(SECRET, tenant, subject)

    @staticmethod
    def patience() -> asyncio.Timeout:
        """How long a test waits."""
        return asyncio.timeout(DEADLINE_S)

    @staticmethod
    async def turn() -> None:
        """Lets others work."""
        await asyncio.sleep(0.005)

    secret = SECRET
    now = NOW


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def words() -> type[Words]:
    return Words


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def dict_view() -> type[DictView]:
    return DictView


__all__ = ["DictView", "HashEmbedder", "Mapping", "Memory", "Stage", "Words"]
