"""Processor time of one step of a processor, in microseconds a record: printed as JSON.

    python bench/router_step.py (router|copy) BOOTSTRAP PREFIX COUNT

``router``: the real one, ten pools and the ledger. ``copy``: the same runtime under an effector that decides nothing:
its own-log record and what it sends on are the record that it read.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from router_fill import bench_settings

from aiosv3.app.topology import pool_topics
from aiosv3.app.workers import Mesh, clock, effectors, ensure, open_mesh, spare_collector, wiring_of
from aiosv3.router.ledger import keeping_books
from aiosv3.router.pools import Pool, PoolTable, Price
from aiosv3.router.router import Router
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import CE_ID, CE_SOURCE, Clearance
from aiosv3.schemas.records import PoolState, PoolStatus
from aiosv3.streams.effector import Request
from aiosv3.streams.kafka import TopicSpec, ensure_topics
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.ownlog import Learned, learn_from_headers, provenance
from aiosv3.streams.processor import Processor

LIMIT = 5_000


class Copy:
    """Implements :class:`~aiosv3.streams.effector.Effector` with nothing of its own."""

    def __init__(self, sink: str) -> None:
        self._sink = sink

    def read(self, record: Record) -> Request:
        return Request((record.header(CE_ID) or b"").decode(), record.timestamp, record, None)

    def learn(self, record: Record) -> Learned:
        return learn_from_headers(record)

    def work(self, request: Request, _epoch: int) -> Outgoing:
        record = request.record
        headers = [(CE_SOURCE, provenance(record)) if name == CE_SOURCE else (name, v) for name, v in record.headers]
        return Outgoing("", None, record.key, record.value, headers)

    def forward(self, request: Request, _answer: Outgoing | Record) -> Outgoing:
        record = request.record
        return Outgoing(self._sink, None, record.key, record.value, record.headers)

    def refuse(self, _request: Request, error: AiosError, _epoch: int) -> Outgoing | None:
        raise error


def ten_pools(now: int) -> tuple[list[Pool], PoolTable]:
    """Ten pools that all have said how they are; three may not see what is asked."""
    classes = (Clearance.RESTRICTED, Clearance.INTERNAL, Clearance.CONFIDENTIAL, Clearance.PUBLIC)
    pools = [
        Pool(f"p{n}", "openai", "m", classes[n % 4], Price(100_000 + n, 400_000), quality=n / 10, region="eu")
        for n in range(10)
    ]
    table = PoolTable()
    for pool in pools:
        label = pool.clearance.label
        table.apply(PoolStatus(pool.name, "r", PoolState.UP, "openai", "m", label, 3, 64, 200, 0, None, now))
    return pools, table


async def router(mesh: Mesh) -> Processor:
    """As ``aiosv3 worker router`` puts it together, without what follows pools and policies beside it."""
    topics = mesh.topics
    pools, table = ten_pools(clock())
    await ensure(mesh, [spec for pool in pools for spec in pool_topics(mesh.settings, topics, pool.name)])
    made = Router(topics, mesh.codec, pools, table, clock)
    journal = topics.router_journal()
    wiring = replace(wiring_of(mesh, "router", topics.prompts(), topics.decisions(), journal), marks_own=True)
    return Processor(wiring, keeping_books(wiring, made, mesh.codec, LIMIT, topics))


async def copy(mesh: Mesh) -> Processor:
    """The runtime alone."""
    topics = mesh.topics
    own, sink = f"{topics.prefix}copied", f"{topics.prefix}sink"
    await ensure_topics(mesh.connection, [TopicSpec(name, 1, "delete") for name in (own, sink)])
    wiring = wiring_of(mesh, "copy", topics.prompts(), own)
    return Processor(wiring, effectors(wiring, Copy(sink), LIMIT, topics.dead_letters()))


async def measured(processor: Processor, count: int) -> dict[str, float]:
    """From the first record that is taken to the last that is finished."""
    await processor.start()
    while not processor.tenures or processor.tenures[0].offsets.next == 0:
        await asyncio.sleep(0.001)
    tenure = processor.tenures[0]
    began, wall, already = time.process_time(), time.perf_counter(), tenure.offsets.base
    while tenure.offsets.base < count:
        if tenure.reason:
            raise SystemExit(f"the tenure has ended: {tenure.reason}")
        await asyncio.sleep(0.02)
    done = count - already
    return {
        "cpu_us": (time.process_time() - began) / done * 1e6,
        "records_s": done / (time.perf_counter() - wall),
    }


KINDS = {"router": router, "copy": copy}


async def main(kind: str, bootstrap: str, prefix: str, count: int) -> dict[str, float]:
    async with open_mesh(bench_settings(bootstrap, prefix), f"bench-{kind}") as mesh:
        processor = await KINDS[kind](mesh)
        spare_collector()  # as a worker's process does
        found = await measured(processor, count)
        await processor.drain(5.0)
        return found


def profiled(work: Callable[[], dict[str, float]], arguments: Sequence[str]) -> dict[str, float]:
    """Runs it, under cProfile where a file for its figures is named."""
    if not arguments:
        return work()
    import cProfile

    profile = cProfile.Profile()
    try:
        return profile.runcall(work)
    finally:
        profile.dump_stats(arguments[0])


if __name__ == "__main__":
    kind, bootstrap, prefix, count, *file = sys.argv[1:]
    print(json.dumps(profiled(lambda: asyncio.run(main(kind, bootstrap, prefix, int(count))), file)))
