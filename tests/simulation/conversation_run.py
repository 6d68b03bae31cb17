"""A conversation of a hundred model calls on the in-memory broker, and every byte that it leaves there.

Production classes in simulated processes without faults: an agent, a router, a model worker. Shared with ``bench``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from aiosv3.agents import Agent, AgentSetup, AgentTenure, Context
from aiosv3.agents.agent import Limits, Order
from aiosv3.agents.conversation import Conversation
from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.history import HistoryReader
from aiosv3.router.pools import Pool, PoolTable
from aiosv3.router.router import Router
from aiosv3.router.worker import ModelWorker
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import Message, Role
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.commit import Commit
from aiosv3.streams.effector import EffectorTenure
from aiosv3.streams.log import Committed, Outgoing, Record
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.processor import OpenTenure, Processor
from aiosv3.streams.tenure import Tenure, Wiring
from aiosv3.streams.testing import MemoryClaims, Noise, ProcessContext, Simulation, TopicSettings

QUIET: Final = Noise(slow_share=0.0, lost_acks=0.0, lost_answers=0.0, stray_commits=0.0, batch=500)
_AGENT: Final = "chat"
_WITHIN: Final = 3_000.0


@dataclass(frozen=True, slots=True)
class Talk:
    """``calls`` model calls; each adds ``said`` characters of the user and ``answered`` of the model."""

    calls: int = 100
    said: int = 7_600
    answered: int = 400

    @property
    def payload(self) -> int:
        """Bytes of the whole conversation."""
        return self.calls * (self.said + self.answered)

    def turn(self, number: int) -> str:
        """What the user says: words that differ, and need no escape."""
        return f"turn {number} ".ljust(self.said, "x")


@dataclass(slots=True)
class Stored:
    """Bytes of keys, values and headers by topic, and of the claim store. ``prompted``: characters a model was sent."""

    topics: dict[str, int]
    claims: int
    blocks: int
    prompted: list[int] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.topics.values()) + self.claims


async def _one_task(talk: Talk, ctx: Context[Any], _value: str) -> str:
    chat = Conversation()
    for number in range(talk.calls):
        chat.append("user", talk.turn(number))
        chat.append("assistant", await ctx.generate(chat))
    return str(len(chat))


async def _one_task_inline(talk: Talk, ctx: Context[Any], _value: str) -> str:
    """Without blocks: the whole conversation in each prompt."""
    chat = Conversation()
    for number in range(talk.calls):
        chat.turns.append(Message(Role.USER, talk.turn(number)))
        chat.turns.append(Message(Role.ASSISTANT, await ctx.generate(chat)))
    return str(len(chat))


async def _one_turn(ctx: Context[Conversation], value: str) -> str:
    ctx.state.append("user", value)
    answer = await ctx.generate(ctx.state)
    ctx.state.append("assistant", answer)
    return answer


async def _forgetful(ctx: Context[Any], value: str) -> str:
    return await ctx.generate(value)


class Parrot:
    """Answers in as many characters as asked; notes how much it was sent."""

    def __init__(self, talk: Talk, prompted: list[int]) -> None:
        self._talk = talk
        self._prompted = prompted

    async def complete(self, call: Call) -> Completed:
        self._prompted.append(sum(len(message.content) for message in call.prompt.messages))
        text = f"answer {len(self._prompted)} ".ljust(self._talk.answered, "y")
        return Completed(text, None, "stop", 10, 5)

    async def probe(self) -> Probed:
        """Always well."""
        return Probed(("m",), 0)

    async def aclose(self) -> None:
        """Nothing is open."""


class _Mesh:
    def __init__(self, sim: Simulation, agent: Agent[Any, Any], talk: Talk) -> None:
        self.sim = sim
        self.agent = agent
        self.talk = talk
        self.topics = topics = Topics()
        self.store = SchemaStore()
        self.codec = Codec(self.store)
        self.claims = MemoryClaims()
        self.prompted: list[int] = []
        self.schemas = AgentSchemas(_AGENT, agent.input_type, agent.output_type, topics, agent.state_type)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(self.schemas.register(self.store))
        loop.close()
        for topic in (topics.tasks(_AGENT), topics.journal(_AGENT), topics.results(_AGENT), topics.prompts()):
            sim.broker.create_topic(topic, 1)
        for topic in (topics.decisions(), topics.dead_letters(), topics.pool_prompts("p"), topics.completions("p")):
            sim.broker.create_topic(topic, 1)
        sim.broker.create_topic(topics.state(_AGENT), 1, TopicSettings(cleanup="compact"))
        sim.spawn("agent", self._agent)
        sim.spawn("router", self._router)
        sim.spawn("pool", self._pool)

    def _wiring(self, process: ProcessContext, inputs: str, own: str, journal: str | None = None) -> Wiring:
        member = process.member(inputs, inputs, journal)
        metrics = MetricsCatalogue().processor(process.name)
        return Wiring(process.name, inputs, own, journal, process.log, member, process.clock_ms, metrics)

    async def _serve(self, wiring: Wiring, open_tenure: OpenTenure) -> None:
        await Processor(wiring, open_tenure, commit_every=5.0).start()
        await asyncio.Event().wait()

    async def _agent(self, process: ProcessContext) -> None:
        topics = self.topics
        wiring = self._wiring(process, topics.tasks(_AGENT), topics.results(_AGENT), topics.journal(_AGENT))
        setup = AgentSetup(self.agent, self.schemas, self.codec, self.store, topics, b"secret", claims=self.claims)

        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> Tenure:
            return AgentTenure(wiring, partition, committed, start, setup=setup)

        await self._serve(wiring, open_tenure)

    async def _effector(self, wiring: Wiring, effector: Any) -> None:
        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> Tenure:
            dead = self.topics.dead_letters()
            return EffectorTenure(wiring, partition, committed, start, effector=effector, limit=4, dead_letters=dead)

        await self._serve(wiring, open_tenure)

    async def _router(self, process: ProcessContext) -> None:
        pools = [Pool("p", "sim", "m", Clearance.RESTRICTED, context_window=1_000_000)]
        router = Router(self.topics, self.codec, pools, PoolTable(), process.clock_ms)
        await self._effector(self._wiring(process, self.topics.prompts(), self.topics.decisions()), router)

    async def _pool(self, process: ProcessContext) -> None:
        pool = Pool("p", "sim", "m", Clearance.RESTRICTED)
        endpoint, history = Parrot(self.talk, self.prompted), HistoryReader(self.claims)
        worker = ModelWorker(pool, endpoint, self.topics, self.store, self.codec, process.clock_ms, history=history)
        topics = self.topics
        await self._effector(self._wiring(process, topics.pool_prompts("p"), topics.completions("p")), worker)

    def task(self, number: int, value: str) -> None:
        headers = [("ce_id", b"t%d" % number), ("content-type", b"application/json")]
        value_bytes = json.dumps(value).encode()
        self.sim.broker.append(Outgoing(self.topics.tasks(_AGENT), 0, b"customer", value_bytes, headers))

    def results(self) -> list[Record]:
        return list(self.sim.broker.records(self.topics.results(_AGENT)))

    def stored(self) -> Stored:
        broker = self.sim.broker
        sizes = {topic: sum(map(_size, broker.records(topic))) for topic in broker.topics()}
        return Stored(sizes, sum(map(len, self.claims.stored.values())), len(self.claims.stored), self.prompted)


def _size(record: Record) -> int:
    headers = sum(len(name.encode()) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def _run(talk: Talk, program: Any, tasks: Callable[[_Mesh], int], state: type[Any] | None = None) -> Stored:
    limits = Limits(model_calls=talk.calls, usd_micros=1_000_000_000)
    order = Order.SERIAL if state is not None else Order.START
    agent: Agent[Any, Any] = Agent(_AGENT, program, str, str, "v1", order=order, limits=limits, state_type=state)
    with Simulation(1, QUIET) as sim:
        mesh = _Mesh(sim, agent, talk)
        count = tasks(mesh)
        sim.run(until=lambda: len(mesh.results()) >= count, max_time=_WITHIN, max_steps=5_000_000)
        outcomes = {mesh.schemas.decode_result(mesh.codec, r.value or b"").outcome.value for r in mesh.results()}
        assert outcomes == {"OK"}, outcomes
        return mesh.stored()


def _single(mesh: _Mesh) -> int:
    mesh.task(0, "begin")
    return 1


def _each(mesh: _Mesh) -> int:
    for number in range(mesh.talk.calls):
        mesh.task(number, mesh.talk.turn(number))
    return mesh.talk.calls


def one_task(talk: Talk) -> Stored:
    """One task makes all calls."""
    return _run(talk, partial(_one_task, talk), _single)


def one_task_inline(talk: Talk) -> Stored:
    """The same with the whole conversation in each prompt."""
    return _run(talk, partial(_one_task_inline, talk), _single)


def a_task_a_turn(talk: Talk) -> Stored:
    """Each turn is a task of one key, and the conversation is its state."""
    return _run(talk, _one_turn, _each, Conversation)


def without_memory(talk: Talk) -> Stored:
    """Each turn is a task, and the model is told nothing of the turns before: what the calls store anyway."""
    return _run(talk, _forgetful, _each)
