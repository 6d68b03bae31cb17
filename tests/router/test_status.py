from __future__ import annotations

import asyncio
from functools import partial

from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.endpoints.errors import Overloaded
from aiosv3.router.guard import NoBacking, ServerLoad
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
    worker.guard.note = "ServerFault 500"
    for _ in range(5):
        worker.guard.breaker.failed()
    status = status_of(worker, "r", 8, NOW)
    assert status.state is PoolState.DOWN
    assert status.note == "ServerFault 500"
    assert status.retry_after is not None
    assert status.retry_after > NOW


def test_a_slow_replica_is_degraded_and_a_full_one_is_up_and_not_to_be_asked_now() -> None:
    *_, worker = made()
    for took in [300] * 60 + [4_000] * 20:
        worker.guard.pace.answered(took + 100, took, 20)
    status = status_of(worker, "r", 8, NOW)
    assert (status.state, status.latency_ms_usual) == (PoolState.DEGRADED, 300)
    assert status.note.startswith("slow: 4.0 s")
    *_, worker = made()
    worker.guard.failed(Overloaded("full", status=503))
    status = status_of(worker, "r", 8, NOW)
    assert (status.state, status.note) == (PoolState.UP, "Overloaded 503")
    assert status.retry_after is not None
    assert NOW < status.retry_after <= NOW + 250


def test_a_pool_that_says_that_it_is_up_and_answers_nothing_is_down() -> None:
    """No health check is asked for it: how its calls went is all that counts."""
    *_, worker = made()
    for _ in range(12):
        worker.guard.breaker.succeeded()
        worker.guard.breaker.failed()
    status = status_of(worker, "r", 8, NOW)
    assert status.state is PoolState.DOWN


def test_what_its_server_says_stands_in_the_status() -> None:
    class Server(NoBacking):
        asleep = True

        def load(self) -> ServerLoad:
            return ServerLoad(3, 1, 0.75, 0.5, NOW - 900)

    *_, codec, _ = made()
    pool = Pool("own", "vllm", "m", Clearance.RESTRICTED)
    worker = ModelWorker(pool, Nobody(), TOPICS, codec.store, codec, lambda: NOW, backing=Server())
    status = status_of(worker, "r", 8, NOW)
    assert (status.asleep, status.server_running, status.server_waiting) == (True, 3, 1)
    assert (status.cache_usage, status.prefix_hit_rate, status.server_seen) == (0.75, 0.5, NOW - 900)
    assert codec.decode_as(PoolStatus, codec.encode(status)) == status


def test_a_server_that_is_not_up_is_down_in_its_words() -> None:
    class Starts(NoBacking):
        def blocked(self) -> str:
            return "its vLLM is being started"

    *_, codec, _ = made()
    pool = Pool("own", "vllm", "m", Clearance.RESTRICTED)
    worker = ModelWorker(pool, Nobody(), TOPICS, codec.store, codec, lambda: NOW, backing=Starts())
    status = status_of(worker, "r", 8, NOW)
    assert (status.state, status.note) == (PoolState.DOWN, "its vLLM is being started")


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


async def test_a_change_is_told_at_once_and_the_rest_every_now_and_then() -> None:
    broker, log, codec, worker = made()
    now = [NOW]
    status = partial(status_of, worker, "r", 8)
    saying = asyncio.ensure_future(publish(log, codec, TOPICS, lambda: status(now[0]), every=2.0, soon=0.001))

    async def told(count: int) -> list[PoolState]:
        async with asyncio.timeout(30):
            while len(broker.records(TOPICS.pools(), 0)) < count:
                await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        return [codec.decode_as(PoolStatus, record.value or b"").state for record in broker.records(TOPICS.pools(), 0)]

    assert await told(1) == [PoolState.UP]
    for _ in range(5):
        worker.guard.breaker.failed()
    assert await told(2) == [PoolState.UP, PoolState.DOWN]
    now[0] += 2_000
    assert await told(3) == [PoolState.UP, PoolState.DOWN, PoolState.DOWN]
    saying.cancel()


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
