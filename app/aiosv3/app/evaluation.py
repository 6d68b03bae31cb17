"""Golden tasks through the real mesh: sent as any producer sends them, their results read from the log."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from aiosv3.agents import Agent
from aiosv3.app.commands.task import TaskEvent, append_cancel, append_event
from aiosv3.app.golden import Ended, Golden
from aiosv3.app.reading import Reading
from aiosv3.app.releases import Case, Release
from aiosv3.app.workers import Mesh, settled
from aiosv3.schemas import headers as names
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope
from aiosv3.schemas.records import Outcome, Usage
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.log import Headers, Record

_POLL_S: Final = 0.1
_SOURCE: Final = (names.CE_SOURCE, b"aiosv3/eval")


@dataclass(frozen=True, slots=True)
class Run:
    """How to run them. ``id`` is in every task id and key: no run meets the tasks or the state of another.

    ``at_once``: how many tasks are open together; ``timeout_s``: how long each may take before it is cancelled.
    """

    agent: Agent[Any, Any]
    at_once: int = 8
    timeout_s: float = 300.0
    headers: Headers = field(default_factory=list)
    id: str = field(default_factory=lambda: f"eval-{uuid.uuid4().hex[:8]}")

    def event(self, golden: Golden) -> TaskEvent:
        """The task event of one golden task."""
        value = json.dumps(golden.input, ensure_ascii=False).encode()
        key = golden.key or golden.id
        return TaskEvent(self.agent.name, f"{self.id}-{golden.id}", f"{self.id}-{key}", value, [_SOURCE, *self.headers])


async def evaluate(mesh: Mesh, run: Run, golden: Sequence[Golden]) -> Release:
    """Runs all. Tasks that are open when this is cancelled are cancelled too, they would go on costing money."""
    room = asyncio.Semaphore(run.at_once)
    versions: set[str] = set()

    async def one(case: Golden) -> Case:
        async with room:
            return await _trial(mesh, run, case, results, versions)

    async with _reading_results(mesh, run.agent) as results, asyncio.TaskGroup() as group:
        cases = [group.create_task(one(case)) for case in golden]
    found = tuple(case.result() for case in cases)
    return Release(run.agent.name, datetime.now(UTC), tuple(sorted(versions)), found)


async def _trial(mesh: Mesh, run: Run, golden: Golden, results: _Results, versions: set[str]) -> Case:
    event = run.event(golden)
    waiting = results.expect(event.id)
    sent = await append_event(mesh, event)
    handle = TaskHandle(run.agent.name, sent.partition, event.id)
    try:
        async with asyncio.timeout(run.timeout_s):
            record, result = await waiting
    except TimeoutError:
        await append_cancel(mesh, handle)
        return Case(golden.id, f"not finished within {run.timeout_s:g} s: cancelled", None, Usage())
    except asyncio.CancelledError:
        await append_cancel(mesh, handle)
        raise
    versions.add(result.code_version)
    complaint = golden.complaint(ended_of(run.agent, result))
    return Case(golden.id, complaint, record.timestamp - sent.timestamp, result.usage)


def ended_of(agent: Agent[Any, Any], result: ResultEnvelope[Any]) -> Ended:
    """The end of a task, its output as JSON has it: golden tasks are written in JSON."""
    error = None if result.error is None else (result.error.type, result.error.message)
    done = result.outcome is Outcome.OK
    output = agent.output_adapter.dump_python(result.content, mode="json", by_alias=True) if done else None
    return Ended(result.outcome, output, error)


class _Results:
    """Results that are waited for; the first record of an id counts (docs/guarantees.md)."""

    def __init__(self, mesh: Mesh, agent: Agent[Any, Any], ends: list[int]) -> None:
        self._mesh = mesh
        self._reading = Reading(mesh)
        self._topic = mesh.topics.results(agent.name)
        self._schemas = AgentSchemas(agent.name, agent.input_type, agent.output_type, mesh.topics, agent.state_type)
        self._positions = ends
        self._waiting: dict[bytes, asyncio.Future[tuple[Record, ResultEnvelope[Any]]]] = {}

    def expect(self, task_id: str) -> asyncio.Future[tuple[Record, ResultEnvelope[Any]]]:
        """The result of a task that is about to be sent."""
        future = self._waiting[task_id.encode()] = asyncio.get_running_loop().create_future()
        return future

    async def read(self) -> None:
        """For ever; what stops it reaches everybody who waits."""
        try:
            while True:
                for partition in range(len(self._positions)):
                    await self._read(partition)
                await asyncio.sleep(_POLL_S)
        except BaseException as error:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(error)
            raise

    async def _read(self, partition: int) -> None:
        async for record in self._reading.records(self._topic, partition, self._positions[partition]):
            self._positions[partition] = record.offset + 1
            future = self._waiting.pop(record.header(names.CE_ID) or b"", None)
            if future is not None and not future.done():
                future.set_result((record, await self._decoded(record)))

    async def _decoded(self, record: Record) -> ResultEnvelope[Any]:
        try:
            return self._schemas.decode_result(self._mesh.codec, record.value or b"")
        except UnresolvedSchema as error:
            await self._mesh.store.resolve(error.schema_id)
            return self._schemas.decode_result(self._mesh.codec, record.value or b"")


@asynccontextmanager
async def _reading_results(mesh: Mesh, agent: Agent[Any, Any]) -> AsyncIterator[_Results]:
    """From what comes next."""
    topic = mesh.topics.results(agent.name)
    count = await Reading(mesh).partitions(topic)
    ends = [(await settled(partial(mesh.log.bounds, topic, partition))).end for partition in range(count)]
    results = _Results(mesh, agent, ends)
    watch = asyncio.create_task(results.read())
    try:
        yield results
    finally:
        watch.cancel()
        await asyncio.wait([watch])
