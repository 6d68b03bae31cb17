"""Memory under a seed: workers that are killed, cut off and paused while agents remember and forget.

Production classes in simulated processes; the view is a dictionary, the embedder takes its time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from memory_checker import OPERATOR, MemoryChecker, operator
from memory_on_paper import memory_tenures
from shrinking import WHOLE, Cut

from aiosv3.memory.feed import Feed
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import Clearance, Grant, Reply, Route
from aiosv3.schemas.memory import (
    MemoryAction,
    MemoryQuery,
    memory_id_of,
    place_in,
    place_of,
    quarantine_id_of,
    subject_of,
)
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.log import Outgoing
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.partitioner import murmur2_partition
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import Wiring
from aiosv3.streams.testing import Faults, Noise, ProcessContext, Simulation

SECRET: Final = b"simulation"
PARTITIONS: Final = 2
TASKS: Final = 24
"""Requests."""
JOURNAL: Final = "aios.journal.tester"
SUBJECTS: Final = ("ada", "bob", "cyd")
SOURCES: Final = ("web", "mail")
QUIET: Final = Noise(slow_share=0.0, lost_acks=0.0, lost_answers=0.0, stray_commits=0.0)
ROUGH: Final = Noise(slow=3.0, slow_share=0.1, lost_acks=0.02, lost_appends=0.005)
_ACTIONS: Final = {
    MemoryAction.REMEMBER: 12,
    MemoryAction.RECALL: 4,
    MemoryAction.FORGET: 3,
    MemoryAction.QUARANTINE: 2,
    MemoryAction.RELEASE: 1,
}
_WITHIN: Final = 6.0
_EPOCH_MS: Final = 1_750_000_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a seed showed."""

    seed: int
    violations: list[tuple[str, str]]
    history: str


class MemoryRun:
    """One simulation from its seed to its verdict: :meth:`violations` after :meth:`play`."""

    def __init__(self, sim: Simulation, seed: int) -> None:
        self.sim = sim
        self.topics = Topics()
        self.codec = Codec(SchemaStore())
        self.asked: dict[str, MemoryQuery] = {}
        self._feeds: dict[str, Feed] = {}
        self._rng = random.Random(f"memory {seed}")
        for name in (self.topics.memory_queries(), self.topics.memory_events(), self.topics.memory_state()):
            sim.broker.create_topic(name, PARTITIONS)
        for name in (self.topics.dead_letters(), JOURNAL):
            sim.broker.create_topic(name, 1)
        sim.spawn("memory", self._worker)
        sim.spawn("memory", self._worker)

    async def _worker(self, process: ProcessContext) -> None:
        topics = self.topics
        queries, events = topics.memory_queries(), topics.memory_events()
        metrics = MetricsCatalogue().processor(process.name)
        member = process.member("memory", queries)
        wiring = Wiring(process.name, queries, events, None, process.log, member, process.clock_ms, metrics)
        feed, tenures = await memory_tenures(process, wiring, self.codec, topics, SECRET, PARTITIONS)
        self._feeds[process.name] = feed
        await Processor(wiring, tenures, commit_every=0.5).start()
        await feed.watch()

    # -- what is asked --------------------------------------------------------------------------------------------

    def play(self, faults: Faults, cut: Cut = WHOLE) -> bool:
        """Requests at random times, some of them twice (extras); True when all of them have an answer."""
        for number in range(TASKS):
            at = self._rng.uniform(0, _WITHIN)
            for name, query in self._queries(number, at):
                again = at + self._rng.uniform(0, 3) if self._rng.random() < 0.3 else None
                if number in cut.tasks:
                    continue
                self.asked[name] = query
                self.sim.network.later(at, partial(self._send, query, at))
                if again is not None and not cut.extras:
                    self.sim.network.later(again, partial(self._send, query, at))
        self.sim.plan(faults, within=_WITHIN, without=cut.faults)
        self.sim.run(max_time=_WITHIN + 4)
        self.sim.quieten()
        return self.sim.run(until=self._settled, max_time=300)

    def _queries(self, number: int, at: float) -> list[tuple[str, MemoryQuery]]:
        """One request, or one for each partition."""
        kind = self._rng.choices(list(_ACTIONS), list(_ACTIONS.values()))[0]
        name = f"r{number}"
        query = MemoryQuery(name, name, name, "1", "tester", kind, scope="tenant")
        if operator(query):
            source, task = self._rng.choice([(self._rng.choice(SOURCES), None), (None, f"r{self._rng.randrange(9)}")])
            named = quarantine_id_of(SECRET, "acme", source, task)
            query = replace(query, agent=OPERATOR, scope=None, source=source, from_task=task, memory_id=named)
            each = [f"{name}.{number}" for number in range(PARTITIONS)]
            return [(one, replace(query, request_id=one, task_id=one)) for one in each]
        return [(name, self._query(query, at))]

    def _query(self, query: MemoryQuery, at: float) -> MemoryQuery:
        subject = subject_of(SECRET, "acme", self._rng.choice(SUBJECTS))
        place = place_of(SECRET, "acme", "tenant", subject)
        query = replace(query, place=place, subject=subject, content=f"likes {self._rng.randrange(3)}")
        slot = str(self._rng.randrange(2))
        memory_id = memory_id_of(SECRET, "acme", place, "tenant", "fact", "key", slot)
        source = self._rng.choice([None, *SOURCES])
        if query.action is MemoryAction.REMEMBER:
            query = replace(query, memory_id=memory_id, kind="fact", source=source)
            if self._rng.random() < 0.2:
                return replace(query, expires_at=_EPOCH_MS + round((at + self._rng.uniform(1, 6)) * 1000))
            return query
        if query.action is MemoryAction.RECALL:
            return replace(query, place=None, subject=None, k=50)
        if self._rng.random() < 0.3:
            return replace(
                query, content=None, scope=None, subject=None, memory_id=memory_id, place=place_in(memory_id)
            )
        return replace(query, content=None, scope=None)

    def _send(self, query: MemoryQuery, at: float) -> None:
        name = query.request_id
        sent = _EPOCH_MS + round(at * 1000)
        headers = event(b"aiosv3.memory", name, b"test", AVRO, b"")
        headers.append(("aios-grant", Grant("acme", name, Clearance.INTERNAL).encode()))
        headers.append(("aios-route", Route(query.agent, "auto", 0, 0, first_sent=sent, hash="h").encode()))
        headers.append(("aios-reply", Reply(JOURNAL, 0, 0, name, "1", "token").encode()))
        key = (query.place or name).encode()
        partition = int(name[-1]) if operator(query) else murmur2_partition(key, PARTITIONS)
        record = Outgoing(self.topics.memory_queries(), partition, key, self.codec.encode(query), headers)
        self.sim.broker.append(record)

    # -- what came of it ------------------------------------------------------------------------------------------

    def journals(self) -> Sequence[str]:
        return (JOURNAL,)

    def feeds(self) -> Sequence[Feed]:
        return [self._feeds[process.name] for process in self.sim.running() if process.name in self._feeds]

    def _settled(self) -> bool:
        if self.sim.steps % 500:
            return False
        checker = MemoryChecker(self, PARTITIONS)
        return checker.asked.keys() >= self.asked.keys() and checker.settled()

    def violations(self) -> list[tuple[str, str]]:
        """What must not be; empty where all is well."""
        return list(MemoryChecker(self, PARTITIONS).violations())


def faults_of(seed: int) -> Faults:
    """Every fifth seed has none; in every fourth owners overlap all the time, and what they write lands late."""
    rng = random.Random(f"faults {seed}")
    if seed % 5 == 0:
        return Faults()
    if seed % 4 == 1:
        return Faults(kills=rng.randrange(3), pauses=2, cuts=3, expulsions=8, rebalances=6, outages=rng.randrange(2))
    return Faults(
        kills=rng.randrange(4),
        pauses=rng.randrange(2),
        cuts=rng.randrange(2),
        expulsions=rng.randrange(2),
        rebalances=rng.randrange(3),
        jumps=rng.randrange(2),
        outages=rng.randrange(2),
    )


def run_seed(seed: int, cut: Cut = WHOLE) -> Outcome:
    """One simulation from its seed to its verdict."""
    noise = QUIET if cut.noise or seed % 10 == 0 else ROUGH if seed % 4 == 1 else None
    with Simulation(seed, noise) as sim:
        run = MemoryRun(sim, seed)
        settled = run.play(faults_of(seed), cut)
        wrong = run.violations()
        if not settled and not wrong:
            wrong = [("memory_restless", "it never came to rest")]
        return Outcome(seed, wrong, str(sim))
