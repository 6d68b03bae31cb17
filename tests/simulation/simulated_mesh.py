"""A whole mesh of production classes on the simulated broker: agents, a router, pools, tools, a desk and its people."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import programs
from memory_on_paper import memory_tenures
from model_on_paper import ModelOnPaper
from programs import AGENTS, Job, Note
from watching import Watch, WatchedLog, WatchedProcessor

from aiosv3.agents import Agent, AgentSetup, AgentTenure, Guarantee
from aiosv3.agents.mailbox import message_record
from aiosv3.agents.people import approval_content
from aiosv3.agents.worker.desk import DeskSetup, DeskTenure
from aiosv3.agents.worker.questions import answer_outgoing, entry_in
from aiosv3.agents.worker.sealedpeople import sealed_person_answer
from aiosv3.agents.worker.sealing import Seals
from aiosv3.agents.worker.setup import ParkingPolicy
from aiosv3.memory.feed import Feed
from aiosv3.router.history import HistoryReader
from aiosv3.router.ledger import keeping_books
from aiosv3.router.pools import Pool, PoolTable, Price
from aiosv3.router.router import Router
from aiosv3.router.worker import ModelWorker, WorkerPolicy
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.people import PersonAnswer, Question, QuestionKind
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.schemas.sealing import KeyedHashes
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import answer_record, journal_outgoing
from aiosv3.streams.beside import Beside
from aiosv3.streams.commit import Commit
from aiosv3.streams.deltas import DeltaSender
from aiosv3.streams.effector import Effector, EffectorTenure
from aiosv3.streams.keys import KeyRing, MasterKeys, TopicKeys, new_master_keys
from aiosv3.streams.log import Committed, Outgoing, Record
from aiosv3.streams.metrics import MetricsCatalogue, ProcessorMetrics
from aiosv3.streams.offsets import SET_ROOM
from aiosv3.streams.partitioner import murmur2_partition
from aiosv3.streams.tenure import Tenure, Wiring
from aiosv3.streams.testing import MemoryClaims, ProcessContext, Simulation, TopicSettings
from aiosv3.streams.truncation import KEPT_S
from aiosv3.tools import Secrets, ServedTools, ServerPolicy, ToolCall, ToolSpec, ToolWorker, Zone
from aiosv3.tools.errors import ServerUnavailable

SECRET = b"simulation"
FORGED = "guessed"
"""The token of whoever does not know the right one."""
PARTITIONS = 2
POOLS = ("near", "far")
MASTERS = MasterKeys.parse(new_master_keys())
ZONE = Zone("office", Clearance.RESTRICTED)
ASKED_MS, ANSWERED_MS, LAG_MS = 300_000, 600_000, 120_000
"""Where logs age: how long inputs and own logs are kept, and how old what is compacted must be.

In life a week, thirty days and a day: longer than any message is on its way, each of them.
"""
PRICE = Price(1_000_000, 1_000_000)
"""A micro-dollar a token: what a call costs is what it has used."""


@dataclass(slots=True)
class Called:
    """A call that reached the endpoint. ``answered_before``: this worker had to know an answer that is on the log."""

    process: str
    key: str
    time: float
    answered_before: bool


class ToolsOnPaper:
    """A tool server: answers with a fresh word each time, or is not there."""

    def __init__(self, mesh: SimulatedMesh, process: ProcessContext) -> None:
        self._mesh = mesh
        self._process = process

    async def tools(self) -> Sequence[ToolSpec]:
        anything = {"type": "object"}
        return [ToolSpec("look", "", anything, idempotent=True), ToolSpec("stamp", "", anything)]

    async def call(self, call: ToolCall) -> Any:
        mesh = self._mesh
        mesh.called(self._process.name, mesh.topics.tool_results(ZONE.name), call.key)
        await asyncio.sleep(self._process.rng.uniform(0, 0.6))
        if self._process.rng.random() < mesh.refusals:
            raise ServerUnavailable("not there")
        return mesh.word()

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass(slots=True)
class Planned:
    """A task of the plan, as its producer made it."""

    id: str
    agent: str
    key: str
    program: str
    partition: int
    offset: int = -1

    @property
    def stream(self) -> int | None:
        """The partition of ``deltas`` where somebody follows it; two of three are followed."""
        number = int(self.id[1:]) % 3
        return None if number == 0 else number % PARTITIONS

    @property
    def confidential(self) -> bool:
        """Not every pool may see it."""
        return int(self.id[1:]) in {2, 5}

    @property
    def cap(self) -> str | None:
        """What its tree may spend, in US dollars: room for one or two calls at a time; half of them say nothing."""
        return {1: "0.0025", 3: "0.0012", 4: "0.0045"}.get(int(self.id[1:]))


@dataclass(frozen=True, slots=True)
class Pressure:
    """What makes agent workers park: tasks are open for long, too many are awake, commits have little room."""

    parking: ParkingPolicy = ParkingPolicy()
    live_limit: int = 10_000
    set_room: int = SET_ROOM


@cache
def _wire() -> tuple[SchemaStore, Codec, dict[str, AgentSchemas]]:
    """What all meshes have in common: compiling the schemas anew for each seed would take a tenth of its time."""
    store = SchemaStore()
    schemas = {
        name: AgentSchemas(name, a.input_type, a.output_type, Topics(), a.state_type) for name, a in AGENTS.items()
    }
    loop = asyncio.new_event_loop()
    try:
        for one in schemas.values():
            loop.run_until_complete(one.register(store))
    finally:
        loop.close()
    return store, Codec(store), schemas


@cache
def _metrics(name: str) -> ProcessorMetrics:
    return MetricsCatalogue().processor(name)


@dataclass(slots=True)
class SimulatedMesh:
    """Builds the processes, produces the plan, and keeps what the checker needs."""

    sim: Simulation
    refusals: float = 0.0
    pressure: Pressure = Pressure()
    quiet: bool = False
    """Nothing goes wrong: no faults, and no noise on the network."""
    since: Clearance | None = None
    """The class from which on content is sealed."""
    remembers: bool = False
    """There are memory workers."""
    lapsed: bool = False
    """Groups have forgotten what they had committed, and results are deleted: what was parked once may seem open."""
    once: bool = False
    """Results go in transactions (``exactly_once``)."""
    kept: float = KEPT_S
    """Seconds after a commit at which the journal below its base is deleted."""
    claims: MemoryClaims = field(default_factory=MemoryClaims)
    topics: Topics = field(default_factory=Topics)
    calls: list[Called] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    """What was seen while it happened: ``(invariant, words)``."""
    watches: dict[str, Watch] = field(default_factory=dict)
    code: dict[str, Agent[Any, Any]] = field(default_factory=dict)
    """Agents whose workers run other code from their next start on."""
    unreadable: list[Outgoing] = field(default_factory=list)
    """Events that nobody can read."""
    words: int = 0
    memories: dict[str, Feed] = field(default_factory=dict)
    """By process, what its memory worker follows."""
    plan: list[Planned] = field(default_factory=list)
    cancelled: dict[str, bool] = field(default_factory=dict)
    """Task id -> the cancel was on the log before the task."""
    store: SchemaStore = field(init=False)
    codec: Codec = field(init=False)
    schemas: dict[str, AgentSchemas] = field(init=False)

    def __post_init__(self) -> None:
        self.store, self.codec, self.schemas = _wire()
        programs.RAN = self.ran
        aside = (self.topics.deltas(), self.topics.approvals(), self.topics.ledger(), self.topics.dead_letters())
        self.sim.fateful = lambda place: not place.startswith(aside)
        self.sim.broker.archive = True
        for name, partitions, settings in self._logs():
            self.sim.broker.create_topic(name, partitions, settings)

    def _logs(self) -> Iterator[tuple[str, int, TopicSettings]]:
        """Every topic as a project makes it, but for how long is kept what."""
        topics, ever = self.topics, TopicSettings()
        asked, answered = TopicSettings(retention_ms=ASKED_MS), TopicSettings(retention_ms=ANSWERED_MS)
        newest = TopicSettings("compact", compaction_lag_ms=LAG_MS)
        for name in AGENTS:
            yield from ((topics.tasks(name), PARTITIONS, asked), (topics.results(name), PARTITIONS, answered))
            yield topics.journal(name), PARTITIONS, ever
            if AGENTS[name].state_type is not None:
                yield topics.state(name), PARTITIONS, newest
        for name in (topics.prompts(), topics.tools(ZONE.name), topics.memory_queries()):
            yield name, PARTITIONS, asked
        for name in (topics.decisions(), topics.tool_results(ZONE.name), topics.dead_letters()):
            yield name, PARTITIONS, answered
        for pool in POOLS:
            yield from (
                (topics.pool_prompts(pool), PARTITIONS, asked),
                (topics.completions(pool), PARTITIONS, answered),
            )
        for name in (topics.router_journal(), topics.memory_events()):
            yield name, PARTITIONS, ever
        yield from ((topics.ledger(), PARTITIONS, newest), (topics.memory_state(), PARTITIONS, newest))
        yield from (
            (topics.approvals(), PARTITIONS, TopicSettings("compact")),
            (topics.keys(), 1, TopicSettings("compact")),
        )
        yield topics.deltas(), PARTITIONS, ever

    # -- processes ------------------------------------------------------------------------------------------------

    def spawn(self, replicas: int = 1) -> None:
        """Starts every processor as a process of its own, ``replicas`` of each."""
        for number in range(replicas):
            for name in AGENTS:
                self.sim.spawn(f"agent-{name}-{number}", partial(self._agent, name))
            self.sim.spawn(f"router-{number}", self._router)
            self.sim.spawn(f"desk-{number}", self._desk)
            self.sim.spawn(f"person-{number}", self._person)
            self.sim.spawn(f"tools-{number}", self._tools)
            if self.remembers:
                self.sim.spawn(f"memory-{number}", self._memory)
            for pool in POOLS:
                self.sim.spawn(f"pool-{pool}-{number}", partial(self._pool, pool))

    def _wiring(self, process: ProcessContext, group: str, inputs: str, own: str, journal: str | None = None) -> Wiring:
        marks = own if journal is None or group == "router" else journal
        member = process.member(group, inputs, journal)
        watch = Watch(process.name, inputs, marks, self.wrong, member)
        self.watches[process.name] = watch
        return Wiring(
            name=process.name,
            input_topic=inputs,
            own_topic=own,
            journal_topic=journal,
            log=WatchedLog(process.log, watch),
            member=member,
            clock=process.clock_ms,
            metrics=_metrics(process.name),
            set_room=self.pressure.set_room,
            own_kept_ms=ASKED_MS,
        )

    async def _serve(self, wiring: Wiring, open_tenure: Any) -> None:
        processor = WatchedProcessor(wiring, open_tenure, commit_every=0.5, journal_kept=self.kept)
        await processor.start()
        await asyncio.Event().wait()

    async def ring(self, process: ProcessContext) -> KeyRing | None:
        """The keys of a process, where content is sealed."""
        if self.since is None:
            return None
        ring = KeyRing(TopicKeys(process.log, self.codec, self.topics.keys()), MASTERS, process.clock_ms)
        asyncio.get_running_loop().create_task(ring.follow())
        return ring

    async def _agent(self, name: str, process: ProcessContext) -> None:
        topics = self.topics
        wiring = self._wiring(process, f"agent.{name}", topics.tasks(name), topics.results(name), topics.journal(name))
        code = self.code.get(name, AGENTS[name])
        setup = AgentSetup(
            replace(code, guarantee=Guarantee.EXACTLY_ONCE) if self.once else code,
            self.schemas[name],
            self.codec,
            self.store,
            topics,
            SECRET,
            live_limit=self.pressure.live_limit,
            claims=self.claims,
            parking=self.pressure.parking,
            state_check=1.0,
            approvals=PARTITIONS,
            deltas=PARTITIONS,
            zones={ZONE.name: ZONE.clearance},
            seals=Seals(await self.ring(process), self.since, KeyedHashes(SECRET)),
        )

        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> Tenure:
            return AgentTenure(wiring, partition, committed, start, setup=setup)

        await self._serve(wiring, open_tenure)

    def pools(self) -> Sequence[Pool]:
        """Two pools; the first is the better one, and may see more."""
        able = frozenset({"json", "tools"})
        return [
            Pool(name, "sim", name, clearance, PRICE, quality=0.9 - n / 10, capabilities=able)
            for n, (name, clearance) in enumerate(zip(POOLS, (Clearance.RESTRICTED, Clearance.INTERNAL), strict=True))
        ]

    async def _effector(self, wiring: Wiring, effector: Effector, beside: Beside | None = None) -> None:
        dead_letters = self.topics.dead_letters()

        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> Tenure:
            return EffectorTenure(
                wiring,
                partition,
                committed,
                start,
                effector=effector,
                limit=4,
                dead_letters=dead_letters,
                beside=beside,
            )

        await self._serve(wiring, open_tenure)

    async def _router(self, process: ProcessContext) -> None:
        topics = self.topics
        router = Router(topics, self.codec, self.pools(), PoolTable(), process.clock_ms)
        wiring = self._wiring(process, "router", topics.prompts(), topics.decisions(), topics.router_journal())
        wiring = replace(wiring, marks_own=True)
        await self._serve(wiring, keeping_books(wiring, router, self.codec, 4, topics, keep_every=1.0))

    async def _pool(self, name: str, process: ProcessContext) -> None:
        pool = next(pool for pool in self.pools() if pool.name == name)
        endpoint = ModelOnPaper(self, process, name)
        policy = WorkerPolicy(retries=0)
        topics = self.topics
        wiring = self._wiring(process, f"pool.{name}", topics.pool_prompts(name), topics.completions(name))
        deltas = DeltaSender(process.log, self.codec, topics.deltas(), PARTITIONS, wiring.metrics)
        clock, alive = process.clock_ms, wiring.member.alive
        ring = await self.ring(process)
        worker = ModelWorker(
            pool,
            endpoint,
            topics,
            self.store,
            self.codec,
            clock,
            policy,
            history=HistoryReader(self.claims, ring=ring),
            deltas=deltas,
            ring=ring,
            alive=alive,
            monotonic=process.process.deterministic.time,
        )
        await self._effector(wiring, worker, worker.settle)

    async def _tools(self, process: ProcessContext) -> None:
        server = ServedTools("desk", ToolsOnPaper(self, process), ServerPolicy(timeout=30.0, backoff=0.0), Secrets({}))
        ring = await self.ring(process)
        topics = self.topics
        wiring = self._wiring(process, "tools.office", topics.tools(ZONE.name), topics.tool_results(ZONE.name))
        alive = wiring.member.alive
        worker = ToolWorker(ZONE, {"desk": server}, self.codec, process.clock_ms, self.claims, ring, alive)
        await self._effector(wiring, worker)

    async def _memory(self, process: ProcessContext) -> None:
        wiring = self._wiring(process, "memory", self.topics.memory_queries(), self.topics.memory_events())
        feed, tenures = await memory_tenures(process, wiring, self.codec, self.topics, SECRET, PARTITIONS, every=0.3)
        self.memories[process.name] = feed
        asyncio.get_running_loop().create_task(feed.watch())
        await self._serve(wiring, tenures)

    async def _desk(self, process: ProcessContext) -> None:
        topic = self.topics.approvals()
        wiring = self._wiring(process, "desk", topic, topic)
        setup = DeskSetup(self.codec, self.store, self.topics, {"ann": ("boss",), "bob": ("boss",), "eve": ()})
        setup = replace(setup, ring=await self.ring(process))

        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> Tenure:
            return DeskTenure(wiring, partition, committed, start, setup=setup)

        await self._serve(wiring, open_tenure)

    # -- people ---------------------------------------------------------------------------------------------------

    async def _person(self, process: ProcessContext) -> None:
        """Answers each question that it sees, in a name that may or may not, once in its life."""
        topic, seen, ring = self.topics.approvals(), set[str](), await self.ring(process)
        looked = dict.fromkeys(range(PARTITIONS), 0)
        while True:
            await asyncio.sleep(process.rng.uniform(0.1, 0.5))
            for partition in range(PARTITIONS):
                records = self.sim.broker.records(topic, partition)[looked[partition] :]
                looked[partition] += len(records)
                for record in records:
                    entry = entry_in(self.codec, record.value or b"")
                    if isinstance(entry, Question) and entry.request_id not in seen:
                        seen.add(entry.request_id)
                        if process.rng.random() < 0.3:
                            process.log.append(self._forged(entry), lambda _ack: None)
                        for who in ("", "ann"):
                            answer = await self._answer(entry, partition, process.rng, who, ring)
                            process.log.append(answer, lambda _ack: None)

    def _forged(self, question: Question) -> Outgoing:
        """Somebody who can write to the journal answers past the desk, without the token of the question."""
        content = "13" if question.kind is QuestionKind.ASK else approval_content("mallory", 0, "", approved=True)
        reply = replace(question.reply, token=FORGED)
        record = answer_record(reply, question.request_hash, Outcome.OK, content)
        return journal_outgoing(self.codec, reply.topic, reply.partition, record, b"mallory")

    async def _answer(
        self, question: Question, partition: int, rng: random.Random, who: str, ring: KeyRing | None
    ) -> Outgoing:
        name = who or rng.choice(["ann", "bob", "eve"])
        answer_id = f"{name}-{rng.randrange(1_000_000)}"
        answer = PersonAnswer(question.request_id, answer_id, name, 0, question.reply.token, True, answer_id)
        if question.kind is QuestionKind.ASK:
            answer = replace(answer, approved=None, content="7")
        if ring is not None and question.content_key_id is not None:
            await ring.resolve([question.content_key_id])
            answer = sealed_person_answer(ring, question, answer)
        return answer_outgoing(self.codec, self.topics, partition, answer, b"person")

    def tell(self, name: str, task_id: str, key: str, message_id: str) -> None:
        """A message by handle: it may come before its task."""
        note = Note(words=[message_id]).model_dump_json()
        partition = murmur2_partition(key.encode(), PARTITIONS)
        record = message_record(task_id, "note", note, message_id)
        self.sim.broker.append(journal_outgoing(self.codec, self.topics.journal(name), partition, record, b"person"))

    def produce(self, name: str, task_id: str, key: str, program: str) -> None:
        """A plain JSON task event, as an outsider writes it."""
        partition = murmur2_partition(key.encode(), PARTITIONS)
        planned = Planned(task_id, name, key, program, partition)
        planned.offset = self.sim.broker.append(self.task_event(planned)).offset
        self.plan.append(planned)

    def task_event(self, planned: Planned) -> Outgoing:
        """The task event of a planned task: the same bytes each time."""
        value = Job(program=planned.program, id=planned.id).model_dump_json().encode()
        headers = [("ce_id", planned.id.encode()), ("content-type", b"application/json")]
        if planned.stream is not None:
            headers.append(("ce_stream", str(planned.stream).encode()))
        if planned.confidential:
            headers.append(("ce_dataclassification", b"confidential"))
        if planned.cap is not None:
            headers.append(("ce_costlimitusd", planned.cap.encode()))
        return Outgoing(self.topics.tasks(planned.agent), planned.partition, planned.key.encode(), value, headers)

    def cancel(self, name: str, task_id: str, key: str, *, before_task: bool) -> None:
        """A cancel by handle: it may come before its task."""
        record = JournalRecord(task_id, -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED)
        partition = murmur2_partition(key.encode(), PARTITIONS)
        topic = self.topics.journal(name)
        self.sim.broker.append(journal_outgoing(self.codec, topic, partition, record, b"person"))
        self.cancelled[task_id] = before_task

    def feeds(self) -> Sequence[Feed]:
        """Of the memory workers that are alive."""
        return [self.memories[process.name] for process in self.sim.running() if process.name in self.memories]

    def journals(self) -> Sequence[str]:
        """Where memory answers."""
        return [self.topics.journal(name) for name in AGENTS]

    # -- what the checker asks ------------------------------------------------------------------------------------

    def word(self) -> str:
        """A fresh one: a call that is made again shows as a second answer."""
        self.words += 1
        return f"w{self.words}"

    def called(self, process: str, answers: str, request_id: str) -> None:
        """Somebody was asked, for a request whose answer goes to the topic ``answers``."""
        known = self.known_to(process, answers, request_id)
        self.calls.append(Called(process, request_id, self.sim.now, known))
        watch = self.watches[process]
        for partition in range(PARTITIONS):
            inputs = self.sim.broker.records(watch.inputs, partition)
            if any(record.header("ce_id") == request_id.encode() for record in inputs):
                watch.calls(partition, request_id)

    def ran(self, step_key: str) -> None:
        """A function of ``ctx.run`` is executed: not if its value is on the journal below the newest own marker."""
        running = asyncio.get_running_loop()
        process = next(process.name for process in self.sim.processes if process.deterministic is running)
        watch = self.watches[process]
        watch.acts(step_key)
        for partition in range(PARTITIONS):
            for record in self.sim.broker.records(watch.marks, partition):
                if record.header("ce_id") == step_key.encode() and record.offset < watch.mine.get(partition, -1):
                    self.wrong.append(("run_again", f"{process} runs {step_key}, whose value it has read"))

    def late_copy(self, rng: random.Random) -> None:
        """A request or an answer lands a second time: by somebody who lost the partition, or who restarted."""
        topics = self.topics
        where = [topics.prompts(), topics.tools(ZONE.name), topics.memory_queries(), topics.tasks("leaf")]
        where += [topics.pool_prompts(pool) for pool in POOLS] + [topics.journal(name) for name in AGENTS]
        for topic in rng.sample(where, len(where)):
            found = [one for one in self.sim.broker.records(topic) if self._repeats(topic, one)]
            if found:
                old = rng.choice(found)
                self.sim.note("somebody", "repeats", f"{topic}[{old.partition}]@{old.offset}")
                self.sim.broker.append(Outgoing(topic, old.partition, old.key, old.value, list(old.headers)))
                return

    def _repeats(self, topic: str, record: Record) -> bool:
        """Of a journal answers alone: what its owner writes comes a second time from its owner."""
        if record.value is None or ".journal." not in topic:
            return record.value is not None
        return self.codec.decode_as(JournalRecord, record.value).kind is JournalKind.ANSWER

    def late_state(self) -> None:
        """A state lands a second time above a newer one of its key: its writer lost the partition meanwhile."""
        topic = self.topics.state("serial")
        for partition in range(PARTITIONS):
            records = list(self.sim.broker.records(topic, partition))
            for record in records:
                if any(later.offset > record.offset and later.key == record.key for later in records):
                    headers = list(record.headers)
                    self.sim.broker.append(Outgoing(topic, partition, record.key, record.value, headers))
                    break

    def misread(self) -> None:
        """Events without an input that can be read; the second one has no readable id either."""
        for number, name in enumerate((b"P0", b"\xff")):
            event = Outgoing(self.topics.tasks("root"), number % PARTITIONS, b"k", b"{", [("ce_id", name)])
            self.unreadable.append(event)
            self.sim.broker.append(event)

    def known_to(self, process: str, answers: str, request_id: str) -> bool:
        """An answer is on the log below the newest marker of this process in that partition: it must know it."""
        for partition in range(PARTITIONS):
            records = self.sim.broker.records(answers, partition)
            markers = [r.offset for r in records if r.value is None and r.header("ce_source") == process.encode()]
            newest = max(markers, default=-1)
            known = (r for r in records if r.offset < newest and r.value is not None)
            if any(r.header("ce_id") == request_id.encode() for r in known):
                return True
        return False
