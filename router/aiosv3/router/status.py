"""Pool status on the log: model workers say how they are, routers read it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from aiosv3.router.breaker import Circuit
from aiosv3.router.pools import PoolTable
from aiosv3.router.worker import ModelWorker
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, WireError
from aiosv3.schemas.records import PoolState, PoolStatus
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.log import Log, Outgoing
from aiosv3.streams.tenure import appended

STATUS_TYPE: Final = b"aiosv3.pool-status"
_EVERY_S: Final = 2.0
_LOG: Final = logging.getLogger(__name__)


def status_of(worker: ModelWorker, replica: str, limit: int, now: int) -> PoolStatus:
    """How this replica is, in one record."""
    circuit = worker.breaker.state
    pool = worker.pool
    resting = worker.breaker.remaining()
    return PoolStatus(
        pool=pool.name,
        replica=replica,
        state={
            Circuit.CLOSED: PoolState.UP,
            Circuit.HALF_OPEN: PoolState.DEGRADED,
            Circuit.OPEN: PoolState.DOWN,
        }[circuit],
        kind=pool.kind,
        model=pool.model,
        clearance=pool.clearance.label,
        in_flight=worker.load.in_flight,
        limit=limit,
        latency_ms_p50=worker.load.median(),
        failures=worker.breaker.failures,
        retry_after=now + round(resting * 1000) if resting else None,
        updated=now,
        note=worker.load.note if circuit is not Circuit.CLOSED else "",
    )


async def publish(
    log: Log, codec: Codec, topics: Topics, describe: Callable[[], PoolStatus], every: float = _EVERY_S
) -> None:
    """Says how a replica is, every ``every`` seconds, until cancelled."""
    while True:
        status = describe()
        key = f"{status.pool}/{status.replica}"
        headers = event(STATUS_TYPE, f"{key}/{status.updated}", key.encode(), AVRO, b"")
        try:
            await appended(log, Outgoing(topics.pools(), 0, key.encode(), codec.encode(status), headers))
        except AiosError as error:
            _LOG.warning("pool status not published: %s", error)
        await asyncio.sleep(every)


async def follow(log: Log, codec: Codec, topics: Topics, table: PoolTable, every: float = 0.5) -> None:
    """Keeps ``table`` up to date from ``pools``, until cancelled."""
    position = 0
    while True:
        try:
            position = await read_statuses(log, codec, topics, table, position)
        except AiosError as error:
            _LOG.warning("pool status not read: %s", error)
        await asyncio.sleep(every)


async def read_statuses(log: Log, codec: Codec, topics: Topics, table: PoolTable, position: int) -> int:
    """Applies what is new since ``position`` and returns where to go on."""
    start, end = await log.bounds(topics.pools(), 0)
    position = max(position, start)
    if position >= end:
        return position
    async for batch in log.read(topics.pools(), 0, position, end):
        for record in batch:
            if record.value is not None:
                _apply(codec, table, record.value)
    return end


def _apply(codec: Codec, table: PoolTable, value: bytes) -> None:
    try:
        table.apply(codec.decode_as(PoolStatus, value))
    except (WireError, UnresolvedSchema) as error:
        _LOG.warning("a pool status that cannot be read is passed over: %s", error)
