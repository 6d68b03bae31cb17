"""A whole mesh of production classes on the simulated broker: two agents, a router, two pools, a person who cancels."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import BaseModel

from aiosv3.agents import Agent, AgentSetup, AgentTenure, Context, agent
from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.endpoints.errors import Overloaded
from aiosv3.router.pools import Pool, PoolTable
from aiosv3.router.router import Router
from aiosv3.router.worker import ModelWorker, WorkerPolicy
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import journal_outgoing
from aiosv3.streams.commit import Commit
from aiosv3.streams.effector import Effector, EffectorTenure
from aiosv3.streams.log import Committed, Outgoing
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.partitioner import murmur2_partition
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import Tenure, Wiring
from aiosv3.streams.testing import ProcessContext, Simulation

SECRET = b"simulation"
PARTITIONS = 2
POOLS = ("near", "far")


class Job(BaseModel):
    """Which program a task runs."""

    program: str
    id: str


class Note(BaseModel):
    """What came out."""

    words: list[str]


@agent
async def leaf(ctx: Context, job: Job) -> Note:
    """A child: one model call."""
    return Note(words=[await ctx.generate(f"leaf {job.id}")])


async def _seq(ctx: Context, job: Job) -> list[str]:
    first = await ctx.generate(f"{job.id} one")
    return [first, await ctx.generate(f"{job.id} two after {first}")]


async def _gather(ctx: Context, job: Job) -> list[str]:
    seen: list[str] = []

    async def branch(name: str) -> None:
        for turn in range(2):
            seen.append(await ctx.generate(f"{job.id} {name}{turn} after {seen}"))

    await asyncio.gather(branch("a"), branch("b"))
    return seen


async def _draw() -> int:
    """A coroutine function: the simulated loop has no threads for plain ones."""
    return random.randrange(1_000_000)


async def _run(ctx: Context, job: Job) -> list[str]:
    value = await ctx.run(_draw, output_type=int)
    return [str(value), await ctx.generate(f"{job.id} about {value}")]


async def _race(ctx: Context, job: Job) -> list[str]:
    try:
        async with asyncio.timeout(0.3):
            return [await ctx.generate(f"{job.id} quick")]
    except TimeoutError:
        await asyncio.sleep(0.2)
        return ["late"]


async def _tree(ctx: Context, job: Job) -> list[str]:
    children = [ctx.call(leaf, Job(program="leaf", id=f"{job.id}-{n}")) for n in range(2)]
    return [word for child in children for word in (await child).words]


async def _send(ctx: Context, job: Job) -> list[str]:
    ctx.send(leaf, Job(program="leaf", id=f"{job.id}-sent"))
    return [await ctx.generate(f"{job.id} and a child")]


async def _fail(ctx: Context, job: Job) -> list[str]:
    await ctx.generate(f"{job.id} before it fails")
    raise ValueError("as planned")


async def _noop(_ctx: Context, job: Job) -> list[str]:
    return [job.id]


PROGRAMS = {
    "seq": _seq,
    "gather": _gather,
    "run": _run,
    "race": _race,
    "tree": _tree,
    "send": _send,
    "fail": _fail,
    "noop": _noop,
}


@agent
async def root(ctx: Context, job: Job) -> Note:
    """Runs the program that its task names."""
    return Note(words=await PROGRAMS[job.program](ctx, job))


@agent(order="serial")
async def serial(ctx: Context, job: Job) -> Note:
    """The same, one task of a key after the other."""
    return Note(words=await PROGRAMS[job.program](ctx, job))


AGENTS: dict[str, Agent[Any, Any]] = {"root": root, "leaf": leaf, "serial": serial}


@dataclass(slots=True)
class Called:
    """A call that reached the endpoint. ``answered_before``: this worker had to know an answer that is on the log."""

    process: str
    key: str
    time: float
    answered_before: bool


class ModelOnPaper:
    """The endpoint: answers with a fresh word each time, so that a repeated call shows as a second answer."""

    def __init__(self, mesh: SimulatedMesh, process: ProcessContext, pool: str) -> None:
        self._mesh = mesh
        self._process = process
        self._pool = pool

    async def complete(self, call: Call) -> Completed:
        mesh = self._mesh
        mesh.calls.append(
            Called(
                self._process.name,
                call.idempotency_key,
                mesh.sim.now,
                mesh.known_to(self._process.name, self._pool, call.idempotency_key),
            )
        )
        await asyncio.sleep(self._process.rng.uniform(0, 0.6))
        if self._process.rng.random() < mesh.refusals:
            raise Overloaded("no room", status=503)
        mesh.words += 1
        return Completed(
            text=f"w{mesh.words}",
            tool_calls=None,
            finish_reason="stop",
            input_tokens=10,
            output_tokens=1,
            cached_tokens=0,
            provider_request_id=None,
            first_token_ms=1,
            usage_estimated=False,
        )

    async def probe(self) -> Probed:
        """Always well."""
        return Probed((self._pool,), 0)

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


@dataclass(slots=True)
class SimulatedMesh:
    """Builds the processes, produces the plan, and keeps what the checker needs."""

    sim: Simulation
    refusals: float = 0.0
    topics: Topics = field(default_factory=Topics)
    calls: list[Called] = field(default_factory=list)
    words: int = 0
    plan: list[Planned] = field(default_factory=list)
    cancelled: dict[str, bool] = field(default_factory=dict)
    """Task id -> the cancel was on the log before the task."""
    store: SchemaStore = field(default_factory=SchemaStore)
    codec: Codec = field(init=False)
    schemas: dict[str, AgentSchemas] = field(init=False)

    def __post_init__(self) -> None:
        self.codec = Codec(self.store)
        self.schemas = {
            name: AgentSchemas(name, a.input_type, a.output_type, self.topics) for name, a in AGENTS.items()
        }
        loop = asyncio.new_event_loop()
        try:
            for schemas in self.schemas.values():
                loop.run_until_complete(schemas.register(self.store))
        finally:
            loop.close()
        create = self.sim.broker.create_topic
        for name in AGENTS:
            for topic in (self.topics.tasks(name), self.topics.journal(name), self.topics.results(name)):
                create(topic, PARTITIONS)
        for topic in (self.topics.prompts(), self.topics.decisions(), self.topics.dead_letters()):
            create(topic, PARTITIONS)
        for pool in POOLS:
            create(self.topics.pool_prompts(pool), PARTITIONS)
            create(self.topics.completions(pool), PARTITIONS)

    # -- processes ------------------------------------------------------------------------------------------------

    def spawn(self, replicas: int = 1) -> None:
        """Starts every processor as a process of its own, ``replicas`` of each."""
        for number in range(replicas):
            for name in AGENTS:
                self.sim.spawn(f"agent-{name}-{number}", partial(self._agent, name))
            self.sim.spawn(f"router-{number}", self._router)
            for pool in POOLS:
                self.sim.spawn(f"pool-{pool}-{number}", partial(self._pool, pool))

    def _wiring(self, process: ProcessContext, group: str, inputs: str, own: str, journal: str | None = None) -> Wiring:
        return Wiring(
            name=process.name,
            input_topic=inputs,
            own_topic=own,
            journal_topic=journal,
            log=process.log,
            member=process.member(group, inputs, journal),
            clock=process.clock_ms,
            metrics=MetricsCatalogue().processor(process.name),
        )

    async def _serve(self, wiring: Wiring, open_tenure: Any) -> None:
        processor = Processor(wiring, open_tenure, commit_every=0.5)
        await processor.start()
        await asyncio.Event().wait()

    async def _agent(self, name: str, process: ProcessContext) -> None:
        topics = self.topics
        wiring = self._wiring(process, f"agent.{name}", topics.tasks(name), topics.results(name), topics.journal(name))
        setup = AgentSetup(AGENTS[name], self.schemas[name], self.codec, self.store, topics, SECRET)

        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> Tenure:
            return AgentTenure(wiring, partition, committed, start, setup=setup)

        await self._serve(wiring, open_tenure)

    def pools(self) -> Sequence[Pool]:
        """Two pools; the first is the better one."""
        return [Pool(name, "sim", name, Clearance.RESTRICTED, quality=0.9 - n / 10) for n, name in enumerate(POOLS)]

    async def _effector(self, wiring: Wiring, effector: Effector) -> None:
        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> Tenure:
            return EffectorTenure(
                wiring, partition, committed, start, effector=effector, limit=4, dead_letters=self.topics.dead_letters()
            )

        await self._serve(wiring, open_tenure)

    async def _router(self, process: ProcessContext) -> None:
        router = Router(self.topics, self.codec, self.pools(), PoolTable(), process.clock_ms)
        await self._effector(self._wiring(process, "router", self.topics.prompts(), self.topics.decisions()), router)

    async def _pool(self, name: str, process: ProcessContext) -> None:
        pool = next(pool for pool in self.pools() if pool.name == name)
        endpoint = ModelOnPaper(self, process, name)
        policy = WorkerPolicy(retries=0)
        worker = ModelWorker(pool, endpoint, self.topics, self.store, self.codec, process.clock_ms, policy)
        topics = self.topics
        wiring = self._wiring(process, f"pool.{name}", topics.pool_prompts(name), topics.completions(name))
        await self._effector(wiring, worker)

    # -- people ---------------------------------------------------------------------------------------------------

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
        return Outgoing(self.topics.tasks(planned.agent), planned.partition, planned.key.encode(), value, headers)

    def cancel(self, name: str, task_id: str, key: str, *, before_task: bool) -> None:
        """A cancel by handle: it may come before its task."""
        record = JournalRecord(task_id, -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED)
        partition = murmur2_partition(key.encode(), PARTITIONS)
        topic = self.topics.journal(name)
        self.sim.broker.append(journal_outgoing(self.codec, topic, partition, record, b"person"))
        self.cancelled[task_id] = before_task

    # -- what the checker asks ------------------------------------------------------------------------------------

    def known_to(self, process: str, pool: str, request_id: str) -> bool:
        """An answer is on the log below the newest marker of this process in that partition: it must know it."""
        topic = self.topics.completions(pool)
        for partition in range(PARTITIONS):
            records = self.sim.broker.records(topic, partition)
            markers = [r.offset for r in records if r.value is None and r.header("ce_source") == process.encode()]
            newest = max(markers, default=-1)
            known = (r for r in records if r.offset < newest and r.value is not None)
            if any(r.header("ce_id") == request_id.encode() for r in known):
                return True
        return False
