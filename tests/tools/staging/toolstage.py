"""A mesh on the in-memory broker and the real event loop: one agent, one zone, servers in processes of their own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiosv3.agents import Agent, AgentSetup, AgentTenure, Context, Limits, Order
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope
from aiosv3.schemas.headers import CE_ID, GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import JournalRecord
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.tooling import ToolRequest, ToolResult
from aiosv3.schemas.topics import Topics
from aiosv3.streams.commit import Commit
from aiosv3.streams.effector import Effector, EffectorTenure, Request
from aiosv3.streams.log import Committed, Outgoing, Record
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import Tenure, Wiring
from aiosv3.streams.testing import MemoryBroker, MemoryClaims, MemoryLog, MemoryMember
from aiosv3.tools import Secrets, ServedTools, ServerPolicy, ToolCall, ToolServer, ToolSpec, ToolWorker, Zone

SERVERS: Final = Path(__file__).parents[1] / "servers"
DEADLINE_S: Final = 30.0
NOW: Final = 1_750_000_000_000
ANYTHING: Final = {"type": "object"}
Program = Callable[[Context, Any], Awaitable[Any]]


class Scripted:
    """A tool server in memory. ``answers``: by tool, a value, an error, or a function of the call."""

    def __init__(self, answers: Mapping[str, Any], *, specs: Sequence[ToolSpec] = ()) -> None:
        self.answers = dict(answers)
        self.specs = specs or [ToolSpec(name, "", ANYTHING) for name in answers]
        self.calls: list[ToolCall] = []
        self.closed = False

    async def tools(self) -> Sequence[ToolSpec]:
        return self.specs

    async def call(self, call: ToolCall) -> Any:
        self.calls.append(call)
        answer = self.answers[call.tool]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if callable(answer):
            answer = answer(call)
        if isinstance(answer, Awaitable):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def aclose(self) -> None:
        self.closed = True


def served(
    server: ToolServer, policy: ServerPolicy | None = None, secrets: Mapping[str, str] | None = None, name: str = "crm"
) -> ServedTools:
    return ServedTools(name, server, policy or ServerPolicy(timeout=10.0, backoff=0.0), Secrets(secrets))


class Stage:
    """``async with stage.running(program, servers)``, then ``await stage.result(task)``."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.topics = Topics()
        self.store = SchemaStore()
        self.codec = Codec(self.store)
        self.claims = MemoryClaims()
        self._schemas: AgentSchemas | None = None
        topics = self.topics
        names = [topics.tasks("worker"), topics.journal("worker"), topics.results("worker"), topics.prompts()]
        for name in [*names, topics.tools("office"), topics.tool_results("office"), topics.dead_letters()]:
            self.broker.create_topic(name, 1)

    @asynccontextmanager
    async def running(
        self,
        program: Program,
        servers: Mapping[str, ServedTools],
        *,
        zone: Zone | None = None,
        zones: Mapping[str, Clearance] | None = None,
        types: tuple[Any, Any] = (str, Any),
        version: str = "v1",
    ) -> AsyncIterator[ToolWorker]:
        """One agent worker and one tool worker. ``zones``: what the agent's worker knows of zones."""
        zone = zone or Zone("office", Clearance.INTERNAL)
        agent = Agent("worker", program, *types, version=version, order=Order.START, limits=Limits())
        worker = ToolWorker(zone, servers, self.codec, _clock, self.claims)
        known = {zone.name: zone.clearance} if zones is None else zones
        processors = [await self._agent(agent, known), self._effector(worker)]
        for processor in processors:
            await processor.start()
        try:
            yield worker
        finally:
            for processor in processors:
                await processor.drain(0.0)
            await worker.aclose()

    async def _agent(self, agent: Agent[Any, Any], zones: Mapping[str, Clearance]) -> Processor:
        topics = self.topics
        self._schemas = AgentSchemas("worker", agent.input_type, agent.output_type, topics)
        await self._schemas.register(self.store)
        wiring = self._wiring("agent", topics.tasks("worker"), topics.results("worker"), topics.journal("worker"))
        setup = AgentSetup(
            agent, self._schemas, self.codec, self.store, topics, b"secret of tests", claims=self.claims, zones=zones
        )

        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> Tenure:
            return AgentTenure(wiring, partition, committed, start, setup=setup)

        return Processor(wiring, open_tenure)

    def _effector(self, effector: Effector) -> Processor:
        wiring = self._wiring("zone", self.topics.tools("office"), self.topics.tool_results("office"))
        dead = self.topics.dead_letters()

        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> Tenure:
            return EffectorTenure(wiring, partition, committed, start, effector=effector, limit=32, dead_letters=dead)

        return Processor(wiring, open_tenure)

    def _wiring(self, name: str, inputs: str, own: str, journal: str | None = None) -> Wiring:
        log = MemoryLog(self.broker, name)
        member = MemoryMember(self.broker, log, name, inputs, journal)
        return Wiring(name, inputs, own, journal, log, member, _clock, MetricsCatalogue().processor(name))

    def task(self, task_id: str, value: Any = "in", *, clearance: Clearance = Clearance.INTERNAL) -> None:
        headers = [(CE_ID, task_id.encode()), ("ce_dataclassification", clearance.label.encode())]
        body = json.dumps(value).encode()
        self.broker.append(Outgoing(self.topics.tasks("worker"), 0, b"key", body, headers))

    async def result(self, task_id: str) -> ResultEnvelope[Any]:
        await until(lambda: task_id in self.results())
        return self.results()[task_id]

    async def content(self, task_id: str) -> Any:
        """The output of a task."""
        return (await self.result(task_id)).content

    def results(self) -> dict[str, ResultEnvelope[Any]]:
        assert self._schemas is not None
        records = self.broker.records(self.topics.results("worker"), 0)
        decoded = [self._schemas.decode_result(self.codec, record.value) for record in records if record.value]
        return {result.task_id: result for result in decoded}

    def tool_results(self) -> list[ToolResult]:
        records = self.broker.records(self.topics.tool_results("office"), 0)
        return [self.codec.decode_as(ToolResult, record.value) for record in records if record.value]

    def journal(self) -> list[JournalRecord]:
        records = self.broker.records(self.topics.journal("worker"), 0)
        return [self.codec.decode_as(JournalRecord, record.value) for record in records if record.value]

    def everything(self) -> bytes:
        """Every byte of every record of every topic."""
        parts: list[bytes] = []
        for topic in self.broker.topics():
            for record in self.broker.records(topic):
                parts += [record.key or b"", record.value or b"", *(value for _, value in record.headers)]
        return b"\0".join(parts)


def _clock() -> int:
    return time.time_ns() // 1_000_000


async def until(condition: Callable[[], Any]) -> None:
    """Waits for a condition, turn by turn of the event loop."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


def request(
    codec: Codec,
    of: ToolWorker,
    *,
    clearance: Clearance = Clearance.PUBLIC,
    exp: int | None = None,
    content: str | bytes | None = "{}",
    tool: str = "ask",
    server: str = "crm",
) -> Request:
    """A request as the worker reads it."""
    body = ToolRequest("task-1/2", "root-1", "task-1", "2", "a", server, tool, content)
    headers = [
        ("ce_id", b"task-1/2"),
        (GRANT, Grant("t", "root-1", clearance, None, exp, 1).encode()),
        (ROUTE, Route("a", 0.2, 0, 0, first_sent=NOW, hash="h1").encode()),
        (REPLY, Reply("aios.journal.a", 1, 7, "task-1", "2", "tok").encode()),
    ]
    read = of.read(Record("aios.tools.office", 3, 42, NOW, b"k", codec.encode(body), headers))
    assert isinstance(read, Request)
    return read
