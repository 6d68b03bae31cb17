"""Appending in transactions: one producer a partition, which fences every earlier one of that partition.

Transactions follow one another; each takes what came while the one before was being committed, so that a busy writer
pays one commit for many records and an idle one waits for nothing but its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from aiosv3.streams.errors import AppendFailed, AppendUnknown, Fenced, RecordTooLarge
from aiosv3.streams.kafka import codes
from aiosv3.streams.kafka.connection import ClientWatch, Connection, error_of, explain
from aiosv3.streams.log import Appended, Done, Outgoing

_AT_ONCE: Final = 1_000
_WAIT_S: Final = 5.0
_POLL_S: Final = 0.1
_TIMEOUT_MS: Final = 10_000
"""After so long without a word the broker aborts an open transaction: as long do ``read_committed`` readers wait."""


class _Sent(NamedTuple):
    record: Outgoing
    done: Done


class TransactionalAppender:
    """Implements :class:`aiosv3.streams.log.Transactions`. The producer and its blocking calls live on one thread.

    ``config``: of an ordinary appender; ``name``: the ``transactional.id``.
    """

    def __init__(
        self,
        connection: Connection,
        config: dict[str, str | float | bool],
        name: str,
        loop: asyncio.AbstractEventLoop,
        *,
        producer_type: Callable[[dict[str, object]], Producer] = Producer,
    ) -> None:
        self.name = name
        self._watch = ClientWatch(connection, f"transactions {name}")
        mine: dict[str, str | float | bool] = {
            "transactional_id": name,
            "transaction_timeout_ms": _TIMEOUT_MS,
            "delivery_timeout_ms": _TIMEOUT_MS,
            # The next transaction begins before the markers of the last one are everywhere: the broker says "not yet",
            # and librdkafka asks again after this time. With its default of 100 ms each transaction takes as long.
            "retry_backoff_ms": 1,
        }
        self._create = partial(producer_type, connection.config(self._watch, **{**config, **mine}))
        self._loop = loop
        self._waiting: deque[_Sent] = deque()
        self._come = threading.Event()
        self._closing = False
        self._fenced: Fenced | None = None
        self._ready: asyncio.Future[None] = loop.create_future()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="aiosv3-kafka-transactions", daemon=True)

    async def start(self) -> None:
        """Fences whoever was before. Raises :class:`BrokerUnavailable`, or what the broker has against it."""
        self._thread.start()
        try:
            await asyncio.shield(self._ready)
        except BaseException:
            self.close()
            raise

    def append(self, record: Outgoing, done: Done) -> None:
        """See :meth:`aiosv3.streams.log.Transactions.append`."""
        if self._closing:
            self._loop.call_soon(done, AppendFailed(f"{record.topic}: these transactions are closed"))
            return
        self._waiting.append(_Sent(record, done))
        self._come.set()

    def close(self) -> None:
        """See :meth:`aiosv3.streams.log.Transactions.close`."""
        self._closing = True
        self._come.set()

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    async def wait_closed(self) -> None:
        """Until the thread has let the producer go."""
        if self._thread.ident is not None:
            await self._ended.wait()

    # -- on the thread --------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            producer = self._begin()
            while producer is not None and (batch := self._next()):
                self._call(_tell, batch, self._transaction(producer, batch))
        finally:
            producer = None  # freed here: that blocks
            self._call(self._ended.set)

    def _begin(self) -> Producer | None:
        try:
            producer = self._create()
            producer.init_transactions(_WAIT_S * 2)
        except KafkaException as failure:
            error = self._watch.failure(error_of(failure), f"beginning the transactions of {self.name}")
            self._call(self._settle, error)
            return None
        self._call(self._settle, None)
        return producer

    def _settle(self, error: Exception | None) -> None:
        if self._ready.done():
            return
        if error is None:
            self._ready.set_result(None)
        else:
            self._ready.set_exception(error)

    def _next(self) -> list[_Sent]:
        """What has come; empty at the end."""
        while not self._waiting and not self._closing:
            self._come.wait()
            self._come.clear()
        return [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]

    def _transaction(self, producer: Producer, batch: Sequence[_Sent]) -> list[Appended | AppendFailed]:
        if self._fenced is not None:
            return [self._fenced] * len(batch)
        told: list[Appended | AppendFailed | None] = [None] * len(batch)
        try:
            producer.begin_transaction()
            for place, sent in enumerate(batch):
                self._produce(producer, sent.record, partial(self._report, told, place))
            self._until_done(producer.commit_transaction)
        except KafkaException as failure:
            return self._undone(producer, batch, told, error_of(failure))
        lost = AppendUnknown(f"{self.name}: committed, but the broker did not say where")
        return [outcome or lost for outcome in told]

    def _produce(
        self, producer: Producer, record: Outgoing, report: Callable[[KafkaError | None, Message | None], None]
    ) -> None:
        topic, partition, key, value, headers = record
        place = -1 if partition is None else partition
        while True:
            try:
                producer.produce(topic, value, key, place, report, headers=headers)  # type: ignore[arg-type]
                return
            except BufferError:
                producer.poll(_POLL_S)
            except KafkaException as failure:
                error = error_of(failure)
                if error.fatal() or error.txn_requires_abort() or error.code() == codes.STATE:
                    raise
                report(error, None)  # this record alone: it is too large, say
                return

    def _report(
        self, told: list[Appended | AppendFailed | None], place: int, error: KafkaError | None, message: Message | None
    ) -> None:
        if error is not None:
            told[place] = _refusal(error)
        elif message is not None and (offset := message.offset()) is not None and offset >= 0:
            told[place] = Appended(message.partition() or 0, offset, message.timestamp()[1])

    def _until_done(self, finish: Callable[[float], None]) -> None:
        """A commit or abort that was not answered in time goes on where it was when it is asked for again."""
        while True:
            try:
                finish(_WAIT_S)
                return
            except KafkaException as failure:
                if self._closing or not error_of(failure).retriable():
                    raise

    def _undone(
        self,
        producer: Producer,
        batch: Sequence[_Sent],
        told: Sequence[Appended | AppendFailed | None],
        error: KafkaError,
    ) -> list[Appended | AppendFailed]:
        """What each record of a transaction is told that was not committed."""
        if error.txn_requires_abort():
            try:
                self._until_done(producer.abort_transaction)
            except KafkaException as failure:
                error = error_of(failure)
        if error.fatal() or error.code() in codes.FENCED:
            self._fenced = Fenced(f"{self.name}: another writer has taken over ({explain(error)})")
            return [self._fenced] * len(batch)
        again = AppendUnknown(f"{self.name}: the transaction was not committed ({explain(error)})")
        # Of a record that the broker refuses, the others of its transaction know nothing: they may come again.
        final = [outcome if _is_final(outcome) else again for outcome in told]
        return [outcome or again for outcome in final]

    def _call(self, function: Callable[..., object], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *args)


def _tell(batch: Sequence[_Sent], outcomes: Sequence[Appended | AppendFailed]) -> None:
    rest = iter(zip(batch, outcomes, strict=True))
    try:
        for sent, outcome in rest:
            sent.done(outcome)
    finally:
        if left := list(rest):  # a callback that raised must not take the others along
            asyncio.get_running_loop().call_soon(_tell, [sent for sent, _ in left], [outcome for _, outcome in left])


def _is_final(outcome: Appended | AppendFailed | None) -> bool:
    return isinstance(outcome, AppendFailed) and not isinstance(outcome, AppendUnknown)


def _refusal(error: KafkaError) -> AppendFailed:
    if error.code() == codes.TOO_LARGE:
        return RecordTooLarge(f"{error.str()}: send a claim check, or raise max.message.bytes of the topic")
    if error.code() in codes.NOT_APPENDED:
        return AppendFailed(explain(error))
    return AppendUnknown(explain(error))
