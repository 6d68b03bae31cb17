"""The log port on :class:`~aiosv3.streams.testing.MemoryBroker`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar, cast

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.errors import AppendFailed, AppendUnknown, BrokerUnavailable, DataLost
from aiosv3.streams.log import Appended, Bounds, Done, Outgoing, Record
from aiosv3.streams.partitioner import murmur2_partition
from aiosv3.streams.testing.broker import MemoryBroker
from aiosv3.streams.testing.network import Host
from aiosv3.streams.testing.transactions import MemoryTransactions

_T = TypeVar("_T")


@dataclass(slots=True)
class _Sent:
    """An append whose outcome was not told yet."""

    record: Outgoing
    done: Done
    until: float
    outcome: Appended | AppendFailed | None = None


class _Lane:
    """The appends of one process to one partition: outcomes come in call order, as from one producer."""

    def __init__(self, log: MemoryLog, topic: str, partition: int) -> None:
        self._log = log
        self._where = (topic, str(partition))
        self._open: deque[_Sent] = deque()
        self._timed = False

    def send(self, record: Outgoing, done: Done) -> None:
        log = self._log
        sent = _Sent(record, done, log.host.loop.time() + log.append_timeout)
        self._open.append(sent)
        self._time()
        log.broker.network.to_broker(log.host, ("append", *self._where), lambda: self._arrive(sent))

    def _arrive(self, sent: _Sent) -> None:
        log = self._log
        outcome: Appended | AppendFailed
        try:
            outcome = log.broker.append(sent.record, log.host.name)
        except AppendFailed as error:
            outcome = error
        log.broker.network.to_host(log.host, ("ack", *self._where), lambda: self._told(sent, outcome))

    def _told(self, sent: _Sent, outcome: Appended | AppendFailed) -> None:
        if sent.outcome is None:
            sent.outcome = outcome
            self._flush()

    def _flush(self) -> None:
        while self._open and (outcome := self._open[0].outcome) is not None:
            self._open.popleft().done(outcome)

    def _time(self) -> None:
        if self._open and not self._timed:
            self._timed = True
            host = self._log.host
            host.later(max(0.0, self._open[0].until - host.loop.time()), self._due)

    def _due(self) -> None:
        self._timed = False
        now = self._log.host.loop.time()
        topic, partition = self._where
        for sent in self._open:
            if sent.outcome is None and sent.until <= now:
                sent.outcome = AppendUnknown(f"{topic}[{partition}]: no acknowledgement in time")
        self._flush()
        self._time()


class MemoryLog:
    """:class:`aiosv3.streams.log.Log` of one process. A name as ``host`` makes one that is never killed.

    Seconds: ``append_timeout`` until an append's outcome is unknown, ``timeout`` for other answers of the
    broker.
    """

    def __init__(
        self, broker: MemoryBroker, host: Host | str, *, append_timeout: float = 30.0, timeout: float = 60.0
    ) -> None:
        self.broker = broker
        self.host = host if isinstance(host, Host) else Host(host)
        self.append_timeout = append_timeout
        self.timeout = timeout
        self._lanes: dict[tuple[str, int], _Lane] = {}

    def append(self, record: Outgoing, done: Done) -> None:
        """See :meth:`aiosv3.streams.log.Log.append`. A killed process appends nothing."""
        if not self.host.up:
            return
        placed = record._replace(partition=self._place(record))
        where = (placed.topic, placed.partition or 0)
        if where not in self._lanes:
            self._lanes[where] = _Lane(self, *where)
        self._lanes[where].send(placed, done)

    async def transactions(self, topic: str, partition: int) -> MemoryTransactions:
        """See :meth:`aiosv3.streams.log.Log.transactions`."""
        writer = await self._ask(lambda: self.broker.fence(topic, partition))
        return MemoryTransactions(self, topic, partition, writer)

    def _place(self, record: Outgoing) -> int:
        if record.partition is not None:
            return record.partition
        count = self.broker.partitions(record.topic) or 1
        if record.key is None:
            return self.broker.network.choose(count)
        return murmur2_partition(record.key, count)

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """See :meth:`aiosv3.streams.log.Log.read`. ValueError when ``end`` lies beyond the end of the log."""
        while start < end:
            records, start = await self._ask(partial(self._fetch, topic, partition, start, end))
            if records:
                yield records

    def _fetch(self, topic: str, partition: int, start: int, end: int) -> tuple[list[Record], int]:
        log = self.broker.partition(topic, partition)
        if end > log.end:
            raise ValueError(f"{topic}[{partition}] ends at {log.end}: nothing can be read up to {end}")
        if start < log.start:
            raise DataLost(topic, partition, start, log.start)
        return log.take(start, end, self.broker.network.fetch_limit())

    async def bounds(self, topic: str, partition: int) -> Bounds:
        """See :meth:`aiosv3.streams.log.Log.bounds`."""
        return await self._ask(lambda: self.broker.partition(topic, partition).bounds)

    async def offset_at(self, topic: str, partition: int, timestamp: int) -> int:
        """See :meth:`aiosv3.streams.log.Log.offset_at`."""
        return await self._ask(lambda: self.broker.partition(topic, partition).offset_at(timestamp))

    async def truncate(self, topic: str, partition: int, before: int) -> None:
        """See :meth:`aiosv3.streams.log.Log.truncate`. ValueError beyond the end of the log."""
        await self._ask(lambda: self.broker.truncate(topic, partition, before))

    async def _ask(self, question: Callable[[], _T]) -> _T:
        return await _Question(self, question).answer()


class _Question(Generic[_T]):
    """One request to the broker and its answer, which may be an error, or may never come."""

    def __init__(self, log: MemoryLog, ask: Callable[[], _T]) -> None:
        self._log = log
        self._ask = ask
        self._future: asyncio.Future[_T] = log.host.loop.create_future()

    async def answer(self) -> _T:
        network = self._log.broker.network
        network.to_broker(self._log.host, None, self._arrive)
        timer = self._log.host.later(self._log.timeout, self._late)
        try:
            return await self._future
        finally:
            timer.cancel()

    def _arrive(self) -> None:
        answer: _T | None = None
        failure: Exception | None = None
        try:
            answer = self._ask()
        except (AiosError, ValueError) as error:
            failure = error
        self._log.broker.network.to_host(self._log.host, None, lambda: self._settle(answer, failure))

    def _late(self) -> None:
        self._settle(None, BrokerUnavailable("the broker did not answer in time"))

    def _settle(self, answer: _T | None, failure: Exception | None) -> None:
        if self._future.done():
            return
        if failure is None:
            self._future.set_result(cast("_T", answer))
        else:
            self._future.set_exception(failure)
