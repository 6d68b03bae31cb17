"""Memory under a seed: workers that are killed, cut off and paused while agents remember and forget.

Production classes in simulated processes; the view is a dictionary, the embedder takes its time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from aiosv3.memory.applying import Applier
from aiosv3.memory.contents import PlainContents
from aiosv3.memory.embedding import Embedding
from aiosv3.memory.feed import Feed
from aiosv3.memory.fold import Fold
from aiosv3.memory.keeping import Keeper
from aiosv3.memory.past import PastViews
from aiosv3.memory.recalling import Recalling
from aiosv3.memory.tenure import MemoryTenure
from aiosv3.memory.views.port import Change, Digest, Entry, Hit, Put, Query
from aiosv3.memory.worker import MemoryWorker
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import Clearance, Grant, Reply, Route
from aiosv3.schemas.memory import (
    MemoryAction,
    MemoryEvent,
    MemoryQuery,
    MemoryState,
    memory_id_of,
    place_of,
    subject_of,
)
from aiosv3.schemas.records import JournalRecord
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
from aiosv3.streams.testing import Faults, Noise, ProcessContext, Simulation

SECRET: Final = b"simulation"
PARTITIONS: Final = 2
REQUESTS: Final = 24
JOURNAL: Final = "aios.journal.tester"
SUBJECTS: Final = ("ada", "bob", "cyd")
QUIET: Final = Noise(slow_share=0.0, lost_acks=0.0, lost_answers=0.0, stray_commits=0.0)
_WITHIN: Final = 6.0
_EPOCH_MS: Final = 1_750_000_000_000


class PaperView:
    """The view port in its simplest form."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], Entry] = {}
        self._floors: dict[tuple[str, str], int] = {}

    async def apply(self, changes: Sequence[Change]) -> None:
        """Newest versions only."""
        for change in changes:
            one = change.entry if isinstance(change, Put) else change
            key = (one.tenant, one.id)
            if one.version > self._floors.get(key, -1):
                self._floors[key] = one.version
                self.entries.pop(key, None)
                if isinstance(change, Put):
                    self.entries[key] = change.entry

    async def search(self, query: Query) -> list[Hit]:
        """All that may be seen."""
        found = [one for one in self.entries.values() if one.tenant == query.tenant and one.scope in query.scopes]
        return [Hit(one, 1.0) for one in sorted(found, key=lambda one: one.id)]

    async def get(self, tenant: str, ids: Collection[str]) -> list[Entry]:
        """By id."""
        return [one for key, one in self.entries.items() if key[0] == tenant and key[1] in ids]

    async def digest(self, tenant: str) -> Digest:
        """Over id, version and content hash."""
        total = 0
        for one in self.entries.values():
            said = f"{one.id}/{one.version}/{one.content_hash}".encode()
            total ^= int.from_bytes(hashlib.blake2b(said, digest_size=16).digest(), "big")
        return Digest(len(self.entries), f"{total:032x}")

    async def purge(self, tenant: str, *, subject: str | None = None, ids: Collection[str] = ()) -> int:
        """By id."""
        return sum(self.entries.pop((tenant, one), None) is not None for one in ids)

    async def close(self) -> None:
        """Nothing is open."""


class SlowEmbedder:
    """Takes up to a second, so that events land in another order than they were asked for."""

    name = "slow"

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Any]:
        """One number a text."""
        import numpy as np

        await asyncio.sleep(self._rng.uniform(0, 1.0))
        return [np.array([float(len(text))], dtype=np.float32) for text in texts]

    async def close(self) -> None:
        """Nothing is open."""


class MemoryRun:
    """One simulation from its seed to its verdict: :meth:`violations` after :meth:`play`."""

    def __init__(self, sim: Simulation, seed: int) -> None:
        self.sim = sim
        self.topics = Topics()
        self.codec = Codec(SchemaStore())
        self.feeds: dict[str, Feed] = {}
        self.asked: dict[str, MemoryQuery] = {}
        self._rng = random.Random(f"memory {seed}")
        for name in (self.topics.memory_queries(), self.topics.memory_events(), self.topics.memory_state()):
            sim.broker.create_topic(name, PARTITIONS)
        for name in (self.topics.dead_letters(), JOURNAL):
            sim.broker.create_topic(name, 1)
        sim.spawn("memory", self._worker)
        sim.spawn("memory", self._worker)

    async def _worker(self, process: ProcessContext) -> None:
        topics, codec, log, contents = self.topics, self.codec, process.log, PlainContents()
        feed = Feed(
            log, PollingFollower(log, 0.05), topics.memory_events(), PARTITIONS, Applier(PaperView(), codec, contents)
        )
        embedding = Embedding(SlowEmbedder(process.rng))

        async def fresh() -> PaperView:
            return PaperView()

        recalling = Recalling(feed, embedding, PastViews(log, feed, codec, contents, fresh))
        worker = MemoryWorker(codec, SECRET, {}, contents, embedding, recalling, process.clock_ms)
        queries, events = topics.memory_queries(), topics.memory_events()
        metrics = MetricsCatalogue().processor(process.name)
        member = process.member("memory", queries)
        wiring = Wiring(process.name, queries, events, None, log, member, process.clock_ms, metrics)

        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> Tenure:
            keeper = Keeper(log, topics.memory_state(), partition, feed, codec)
            dead = topics.dead_letters()
            return MemoryTenure(
                wiring, partition, committed, start, worker=worker, limit=8, dead_letters=dead, keeper=keeper
            )

        await feed.start()
        self.feeds[process.name] = feed
        await Processor(wiring, open_tenure, commit_every=0.5).start()
        await feed.watch()

    # -- what is asked --------------------------------------------------------------------------------------------

    def play(self, faults: Faults) -> bool:
        """Requests at random times, some of them twice; True when all of them have an answer."""
        for number in range(REQUESTS):
            query = self._query(number)
            at = self._rng.uniform(0, _WITHIN)
            self.sim.network.later(at, partial(self._send, query, at))
            if self._rng.random() < 0.3:
                again = at + self._rng.uniform(0, 3)
                self.sim.network.later(again, partial(self._send, query, at))
        self.sim.plan(faults, within=_WITHIN)
        self.sim.run(max_time=_WITHIN + 4)
        self.sim.quieten()
        return self.sim.run(until=self._settled, max_time=300)

    def _query(self, number: int) -> MemoryQuery:
        kind = self._rng.choices(list(MemoryAction)[:3], [6, 1, 2])[0]
        subject = subject_of(SECRET, "acme", self._rng.choice(SUBJECTS))
        place = place_of(SECRET, "acme", "tenant", subject)
        text = f"likes {self._rng.randrange(3)}"
        name = f"r{number}"
        query = MemoryQuery(name, name, name, "1", "tester", kind, place, scope="tenant", subject=subject, content=text)
        if kind is MemoryAction.REMEMBER:
            slot = str(self._rng.randrange(2))
            memory_id = memory_id_of(SECRET, "acme", place, "tenant", "fact", "key", slot)
            query = replace(query, memory_id=memory_id, kind="fact")
        elif kind is MemoryAction.RECALL:
            query = replace(query, place=None, subject=None, k=50)
        else:
            query = replace(query, content=None, scope=None)
        self.asked[name] = query
        return query

    def _send(self, query: MemoryQuery, at: float) -> None:
        name = query.request_id
        sent = _EPOCH_MS + round(at * 1000)
        headers = event(b"aiosv3.memory", name, b"test", AVRO, b"")
        headers.append(("aios-grant", Grant("acme", name, Clearance.INTERNAL).encode()))
        headers.append(("aios-route", Route("tester", "auto", 0, 0, first_sent=sent, hash="h").encode()))
        headers.append(("aios-reply", Reply(JOURNAL, 0, 0, name, "1", "token").encode()))
        key = (query.place or name).encode()
        partition = murmur2_partition(key, PARTITIONS)
        record = Outgoing(self.topics.memory_queries(), partition, key, self.codec.encode(query), headers)
        self.sim.broker.append(record)

    # -- what came of it ------------------------------------------------------------------------------------------

    def answers(self) -> dict[str, list[JournalRecord]]:
        """By request, oldest first."""
        found: dict[str, list[JournalRecord]] = {}
        for record in self.sim.broker.records(JOURNAL, 0):
            said = self.codec.decode_as(JournalRecord, record.value or b"")
            found.setdefault(said.task_id, []).append(said)
        return found

    def _settled(self) -> bool:
        if self.sim.steps % 200:
            return False
        return self.answers().keys() >= self.asked.keys() and self.states() == self.held() and self._caught_up()

    def _caught_up(self) -> bool:
        ends = {
            number: len(self.sim.broker.records(self.topics.memory_events(), number)) for number in range(PARTITIONS)
        }
        return all(feed.positions == ends for feed in self._live())

    def _live(self) -> list[Feed]:
        return [self.feeds[process.name] for process in self.sim.running() if process.name in self.feeds]

    def events(self, partition: int) -> list[tuple[Record, MemoryEvent]]:
        """Of the memory log."""
        records = self.sim.broker.records(self.topics.memory_events(), partition)
        return [(one, self.codec.decode_as(MemoryEvent, one.value)) for one in records if one.value is not None]

    def folds(self) -> list[Fold]:
        """Memory as anybody makes it out of the log."""
        folds = []
        for number in range(PARTITIONS):
            fold = Fold()
            for record, told in self.events(number):
                fold.apply(told, record.offset)
            folds.append(fold)
        return folds

    def held(self) -> dict[str, int]:
        """Memory -> version, and what was forgotten."""
        found: dict[str, int] = {}
        for fold in self.folds():
            found |= {key[1]: known.version for key, known in fold.memories.items()}
            found |= {f"forgotten/{key[1]}": end.offset for key, end in fold.forgotten.items()}
        return found

    def states(self) -> dict[str, int]:
        """The same as ``memory.state`` says it."""
        found: dict[str, int] = {}
        for record in self.sim.broker.records(self.topics.memory_state()):
            key = (record.key or b"").decode()
            found.pop(key, None)
            if record.value is not None:
                found[key] = self.codec.decode_as(MemoryState, record.value).offset
        return found

    def expected(self) -> dict[str, tuple[str, int]]:
        """Memory -> text and request, by the requests alone: the later one counts, and what came before a forgetting
        is gone."""
        first: dict[str, tuple[int, int, int]] = {}
        for record in self.sim.broker.records(self.topics.memory_queries()):
            name = (record.header("ce_id") or b"").decode()
            sent = Route.decode(record.header("aios-route") or b"").first_sent
            first.setdefault(name, (record.partition, record.offset, sent))
        forgets = [(first[name], query) for name, query in self.asked.items() if query.action is MemoryAction.FORGET]
        left: dict[str, tuple[str, int]] = {}
        for name, query in sorted(self.asked.items(), key=lambda one: first[one[0]]):
            if query.action is MemoryAction.REMEMBER:
                _, offset, sent = first[name]
                gone = any(other.subject == query.subject and (at[1] > offset or at[2] > sent) for at, other in forgets)
                if not gone:
                    left[query.memory_id or ""] = (str(query.content), offset)
        return left

    def violations(self) -> list[str]:
        """What must not be, in words; empty where all is well."""
        wrong = []
        missing = self.asked.keys() - self.answers().keys()
        if missing:
            wrong.append(f"no answer to {sorted(missing)}")
        for name, said in self.answers().items():
            if self.asked[name].action is not MemoryAction.RECALL and len({one.content for one in said}) > 1:
                wrong.append(f"{name} was answered in two ways: {[one.content for one in said]}")
        if self.states() != self.held():
            wrong.append(f"memory.state says {self.states()}, the log {self.held()}")
        texts = {key[1]: known for fold in self.folds() for key, known in fold.memories.items()}
        if texts.keys() != self.expected().keys():
            wrong.append(f"held is {sorted(texts)}, asked for was {sorted(self.expected())}")
        wrong += self._wrong_views()
        return wrong

    def _wrong_views(self) -> list[str]:
        wrong, digests = [], set()
        expected = {memory_id: text for memory_id, (text, _) in self.expected().items()}
        for feed in self._live():
            view = feed.applier.view
            assert isinstance(view, PaperView)
            found = {one.id: one.text for one in view.entries.values()}
            digests.add(json.dumps(sorted((one.id, one.version, one.content_hash) for one in view.entries.values())))
            if found != expected:
                wrong.append(f"a view holds {found}, asked for was {expected}")
        if len(digests) > 1:
            wrong.append("two views differ")
        return wrong


def run_memory(seed: int) -> tuple[list[str], str]:
    """The violations of a seed, and everything that happened."""
    rng = random.Random(f"faults {seed}")
    faults = Faults()
    if seed % 5:
        faults = Faults(
            kills=rng.randrange(4),
            pauses=rng.randrange(2),
            cuts=rng.randrange(2),
            expulsions=rng.randrange(2),
            rebalances=rng.randrange(3),
            jumps=rng.randrange(2),
            outages=rng.randrange(2),
        )
    with Simulation(seed, QUIET if seed % 10 == 0 else None) as sim:
        run = MemoryRun(sim, seed)
        settled = run.play(faults)
        wrong = run.violations()
        if not settled and not wrong:
            wrong = ["it never came to rest"]
        return wrong, str(sim)
