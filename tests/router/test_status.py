from __future__ import annotations

import asyncio

from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.pools import Pool, PoolTable
from aiosv3.router.status import follow, publish, read_statuses, status_of
from aiosv3.router.worker import ModelWorker
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import PoolState, PoolStatus
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.log import Outgoing
from aiosv3.streams.testing import MemoryBroker, MemoryLog

NOW = 1_750_000_000_000
TOPICS = Topics()


class Nobody:
    """An endpoint that is never called."""

    async def complete(self, call: Call) -> Completed:
        raise AssertionError(call)

    async def probe(self) -> Probed:
        raise AssertionError

    async def aclose(self) -> None:
        raise AssertionError


def made() -> tuple[MemoryBroker, MemoryLog, Codec, ModelWorker]:
    broker = MemoryBroker()
    broker.create_topic(TOPICS.pools(), 1)
    codec = Codec(SchemaStore())
    pool = Pool("own", "vllm", "m", Clearance.RESTRICTED)
    return (
        broker,
        MemoryLog(broker, "test"),
        codec,
        ModelWorker(pool, Nobody(), TOPICS, codec.store, codec, lambda: NOW),
    )


def test_a_status_follows_the_breaker() -> None:
    *_, worker = made()
    assert status_of(worker, "r", 8, NOW).state is PoolState.UP
    worker.load.note = "ServerFault 500"
    for _ in range(5):
        worker.breaker.failed()
    status = status_of(worker, "r", 8, NOW)
    assert status.state is PoolState.DOWN
    assert status.note == "ServerFault 500"
    assert status.retry_after is not None
    assert status.retry_after > NOW


async def test_what_a_worker_says_a_router_reads() -> None:
    _, log, codec, worker = made()
    table = PoolTable()
    saying = asyncio.ensure_future(publish(log, codec, TOPICS, lambda: status_of(worker, "r", 8, NOW), every=0.001))
    reading = asyncio.ensure_future(follow(log, codec, TOPICS, table, every=0.001))
    async with asyncio.timeout(5):
        while not table.replicas:
            await asyncio.sleep(0)
    saying.cancel()
    reading.cancel()
    assert table.health("own", NOW).known


async def test_only_what_is_new_is_read_and_garbage_is_passed_over() -> None:
    broker, log, codec, worker = made()
    table = PoolTable()
    broker.append(Outgoing(TOPICS.pools(), 0, b"x", b"garbage", []))
    broker.append(Outgoing(TOPICS.pools(), 0, b"x", None, []))
    broker.append(Outgoing(TOPICS.pools(), 0, b"own/r", codec.encode(status_of(worker, "r", 8, NOW)), []))
    position = await read_statuses(log, codec, TOPICS, table, 0)
    assert position == 3
    assert isinstance(table.replicas["own", "r"], PoolStatus)
    assert await read_statuses(log, codec, TOPICS, table, position) == 3
