"""Processor time of a whole task on a log in memory, in microseconds: the runtime alone, without Kafka's client.

    python bench/task_step.py (noop|steps|bare) COUNT [PROFILE]

``noop``: decode, run, encode, own log, nothing else. ``steps``: three functions by ``ctx.run``, one after the other,
of 1 KiB each. ``bare``: the same values decoded and encoded in a loop. With PROFILE it runs under cProfile, whose
figures go there.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents_for_bench import Ticket, noop, three_steps, waits
from instant import InstantLog, InstantMember

from aiosv3.agents import Agent, AgentSetup, AgentTenure
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope, TaskEnvelope
from aiosv3.schemas.headers import Clearance, Grant, Route
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.commit import Commit
from aiosv3.streams.log import Committed, Headers, Record
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import Wiring

NOW = 1_750_000_000_000
FILLED = 1_000
"""So many tasks are on the log at least, that runs of fewer tasks differ in what is done with them alone."""


def task_headers(task_id: str) -> Headers:
    """Nine headers, as a task has that another agent sent."""
    return [
        ("ce_id", task_id.encode()),
        ("ce_source", b"bench"),
        ("ce_type", b"aiosv3.task"),
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/avro"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("aios-grant", Grant("default", task_id, Clearance.INTERNAL, 1_000_000, None, 1).encode()),
        ("aios-route", Route(None, 0.2, 10, 10, first_sent=NOW).encode()),
        ("x-ninth", b"1"),
    ]


class Bench:
    """One agent, one partition, ``count`` tasks on it."""

    def __init__(self, agent: Agent[Any, Any], count: int) -> None:
        self.agent, self.count, self.log = agent, count, InstantLog(NOW)
        self.topics = Topics()
        self.store = SchemaStore()
        self.codec = Codec(self.store)
        self.schemas = AgentSchemas(agent.name, agent.input_type, agent.output_type, self.topics)

    async def fill(self) -> None:
        """The tasks are on the log."""
        await self.schemas.register(self.store)
        name = self.topics.tasks(self.agent.name)
        held = self.log.partitions[name, 0]
        for number in range(max(self.count, FILLED)):
            task_id = f"task-{number}"
            customer, text = f"c{number % 100}", "the card was charged twice"
            ticket = Ticket(id=task_id, customer=customer, text=text, priority=2, amount=9.5)
            value = self.schemas.encode_task(self.codec, TaskEnvelope(task_id, ticket))
            held.append(Record(name, 0, number, NOW, customer.encode(), value, task_headers(task_id)))

    def processor(self) -> Processor:
        """As a worker puts it together."""
        topics, name = self.topics, self.agent.name
        del self.log.partitions[topics.tasks(name), 0][self.count :]
        setup = AgentSetup(self.agent, self.schemas, self.codec, self.store, topics, b"secret")
        inputs, own, journal = topics.tasks(name), topics.results(name), topics.journal(name)
        member = InstantMember(self.log, inputs, journal)
        metrics = MetricsCatalogue().processor(name)
        wiring = Wiring(name, inputs, own, journal, self.log, member, lambda: NOW, metrics)

        def open_tenure(partition: int, committed: Committed | None, start: Commit) -> AgentTenure:
            return AgentTenure(wiring, partition, committed, start, setup=setup)

        return Processor(wiring, open_tenure)

    async def run(self) -> None:
        """From the first task to the last result."""
        processor = self.processor()
        await processor.start()
        tenure = processor.tenures[0]
        while tenure.offsets.base < self.count:
            if tenure.reason:
                raise SystemExit(f"the tenure has ended: {tenure.reason}")
            await asyncio.sleep(0)
        await processor.drain(0)

    async def bare(self) -> None:
        """Values in and out, and nothing between."""
        function, schemas, codec = self.agent.function, self.schemas, self.codec
        for record in self.log.partitions[self.topics.tasks(self.agent.name), 0][: self.count]:
            task = schemas.decode_task(codec, record.value or b"")
            made = await function(None, task.content)  # type: ignore[arg-type]  # it does not look at its context
            result: ResultEnvelope[Any] = ResultEnvelope(
                task.task_id, task.task_id, Outcome.OK, record.offset, 0, "", NOW, NOW, "1", made
            )
            schemas.encode_result(codec, result)


async def measured(kind: str, count: int) -> float:
    """Microseconds a task."""
    bench = Bench({"steps": three_steps, "waits": waits}.get(kind, noop), count)
    await bench.fill()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)  # as a worker's process does
    began = time.process_time()
    await (bench.bare() if kind == "bare" else bench.run())
    return (time.process_time() - began) / count * 1e6


def profiled(work: Callable[[], float], file: Path | None) -> float:
    """Runs it, under cProfile where a file for its figures is named."""
    if file is None:
        return work()
    import cProfile

    profile = cProfile.Profile()
    try:
        return profile.runcall(work)
    finally:
        profile.dump_stats(file)


if __name__ == "__main__":
    kind, count, *file = sys.argv[1:]
    print(profiled(lambda: asyncio.run(measured(kind, int(count))), Path(file[0]) if file else None))
