"""Pool status on the log: model workers say how they are, routers read it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from aiosv3.router.breaker import Circuit
from aiosv3.router.guard import Guard
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
_SOON_S: Final = 0.25
_LOG: Final = logging.getLogger(__name__)


def status_of(worker: ModelWorker, replica: str, limit: int, now: int) -> PoolStatus:
    """How this replica is, in one record: as its calls went, whatever its endpoint says of itself."""
    guard, pool = worker.guard, worker.pool
    state, note = _state(guard)
    resting = guard.resting()
    server = guard.backing.load()
    rate = guard.breaker.error_rate()
    return PoolStatus(
        pool=pool.name,
        replica=replica,
        state=state,
        kind=pool.kind,
        model=pool.model,
        clearance=pool.clearance.label,
        in_flight=worker.load.in_flight,
        limit=limit,
        latency_ms_p50=worker.load.median(),
        failures=guard.breaker.failures,
        retry_after=now + round(resting * 1000) if resting else None,
        updated=now,
        note=note,
        latency_ms_p95=worker.load.percentile(0.95),
        latency_ms_usual=guard.pace.usual_ms(),
        error_rate=None if rate is None else round(rate, 3),
        retry_budget=round(guard.retries.left(), 3),
        asleep=guard.backing.asleep,
        server_running=None if server is None else server.running,
        server_waiting=None if server is None else server.waiting,
        cache_usage=None if server is None else server.cache_usage,
        prefix_hit_rate=None if server is None else server.prefix_hit_rate,
        server_seen=None if server is None else server.seen,
    )


def _state(guard: Guard) -> tuple[PoolState, str]:
    """A full endpoint is up: ``retry_after`` alone keeps routers away."""
    if (blocked := guard.backing.blocked()) is not None:
        return PoolState.DOWN, blocked
    if guard.breaker.state is Circuit.OPEN:
        return PoolState.DOWN, guard.note
    if (ailing := guard.ailing()) is not None:
        return PoolState.DEGRADED, ailing
    return PoolState.UP, guard.note if guard.admission.remaining() else ""


async def publish(
    log: Log,
    codec: Codec,
    topics: Topics,
    describe: Callable[[], PoolStatus],
    every: float = _EVERY_S,
    soon: float = _SOON_S,
) -> None:
    """Says how a replica is, every ``every`` seconds, and after ``soon`` where it has changed; until cancelled."""
    said: PoolStatus | None = None
    while True:
        status = describe()
        if said is None or _is_news(said, status) or status.updated - said.updated >= every * 1000:
            said = status
            await _say(log, codec, topics, status)
        await asyncio.sleep(min(every, soon))


def _is_news(before: PoolStatus, now: PoolStatus) -> bool:
    """Whether routers must hear of it at once: requests go where none is answered, or not where they would be."""
    rests = [status.retry_after is not None for status in (before, now)]
    return before.state is not now.state or rests[0] != rests[1] or before.asleep != now.asleep


async def _say(log: Log, codec: Codec, topics: Topics, status: PoolStatus) -> None:
    key = f"{status.pool}/{status.replica}"
    headers = event(STATUS_TYPE, f"{key}/{status.updated}", key.encode(), AVRO, b"")
    try:
        await appended(log, Outgoing(topics.pools(), 0, key.encode(), codec.encode(status), headers))
    except AiosError as error:
        _LOG.warning("pool status not published: %s", error)


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
