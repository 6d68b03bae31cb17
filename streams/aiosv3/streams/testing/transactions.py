"""Appending in transactions on :class:`~aiosv3.streams.testing.MemoryBroker`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from aiosv3.streams.errors import AppendFailed, Fenced
from aiosv3.streams.log import Appended, Done, Outgoing

if TYPE_CHECKING:
    from aiosv3.streams.testing.log import MemoryLog


class _Sent(NamedTuple):
    record: Outgoing
    done: Done


class MemoryTransactions:
    """:class:`aiosv3.streams.log.Transactions`: each takes what came while the one before was under way.

    A process that is killed in the middle of one leaves records that nobody will read: a hole, once the next writer
    comes. One without an answer in time ends its writer, as a broker does: nothing lands later.
    """

    def __init__(self, log: MemoryLog, topic: str, partition: int, writer: int) -> None:
        self._log = log
        self._topic, self._partition, self._writer = topic, partition, writer
        self._waiting: deque[_Sent] = deque()
        self._batch: list[_Sent] = []
        self._timer: asyncio.TimerHandle | None = None
        self._fenced: Fenced | None = None
        self._closed = False

    def append(self, record: Outgoing, done: Done) -> None:
        """See :meth:`aiosv3.streams.log.Transactions.append`."""
        if not self._log.host.up:
            return
        if self._closed:
            self._log.host.loop.call_soon(done, AppendFailed(f"{record.topic}: these transactions are closed"))
            return
        self._waiting.append(_Sent(record, done))
        if not self._batch:
            self._next()

    def close(self) -> None:
        """See :meth:`aiosv3.streams.log.Transactions.close`."""
        self._closed = True

    def _next(self) -> None:
        """Records and the end of a transaction are two messages: who dies between them has begun and not ended."""
        if self._fenced is not None:
            self._log.host.loop.call_soon(self._refuse, self._fenced)
            return
        self._batch, batch = list(self._waiting), [sent.record for sent in self._waiting]
        self._waiting.clear()
        log, lane = self._log, ("append", self._topic, str(self._partition))
        self._timer = log.host.later(log.append_timeout, self._late)
        begun: list[None] = []
        log.broker.network.to_broker(log.host, lane, lambda: self._begin(len(batch), begun))
        log.broker.network.to_broker(log.host, lane, lambda: self._commit(batch, begun))

    def _refuse(self, fenced: Fenced) -> None:
        waiting, self._waiting = self._waiting, deque()
        for sent in waiting:
            sent.done(fenced)

    def _begin(self, records: int, begun: list[None]) -> None:
        broker = self._log.broker
        if broker.partition(self._topic, self._partition).writer == self._writer:
            broker.begin_transaction(self._topic, self._partition, self._writer, records)
        begun.append(None)

    def _commit(self, batch: Sequence[Outgoing], begun: Sequence[None]) -> None:
        """At the broker. Where the records got lost there is nothing to commit, and nobody says so."""
        if not begun:
            return
        log = self._log
        outcomes: Sequence[Appended | AppendFailed]
        try:
            outcomes = log.broker.append_in_transaction(batch, self._writer, log.host.name)
        except Fenced as error:
            outcomes = [error] * len(batch)
        lane = ("ack", self._topic, str(self._partition))
        log.broker.network.to_host(log.host, lane, lambda: self._told(outcomes))

    def _told(self, outcomes: Sequence[Appended | AppendFailed]) -> None:
        if self._fenced is None:
            self._settle(outcomes)

    def _late(self) -> None:
        self._log.broker.end(self._topic, self._partition, self._writer)
        late = Fenced(f"{self._topic}[{self._partition}]: the transaction took too long")
        self._settle([late] * len(self._batch))

    def _settle(self, outcomes: Sequence[Appended | AppendFailed]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        batch, self._batch = self._batch, []
        self._fenced = next((outcome for outcome in outcomes if isinstance(outcome, Fenced)), None)
        if self._waiting:
            self._next()
        for sent, outcome in zip(batch, outcomes, strict=True):
            sent.done(outcome)
