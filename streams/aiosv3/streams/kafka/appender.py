"""Appending: one idempotent librdkafka producer, and the thread that serves its delivery reports.

A record costs one ``produce`` on the loop and one tuple on the thread; what has come by then crosses over to
the loop in one ``call_soon_threadsafe``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from aiosv3.streams.errors import AppendFailed, AppendUnknown, RecordTooLarge
from aiosv3.streams.kafka import codes
from aiosv3.streams.kafka.connection import ClientWatch, Connection, error_of, explain
from aiosv3.streams.log import Appended, Done, Outgoing

_LOG = logging.getLogger("aiosv3.streams.kafka")
_POLL: Final = 0.1
_PURGE_TIME: Final = 5.0
PATIENCE_S: Final = 10.0
"""At least so long nothing is acknowledged before a producer is given up for it."""
_BUNCH: Final = 256
"""So many records are handed to librdkafka at once; fewer at the end of the loop's turn. One by one, as they are made,
it wakes its thread and sends a request for nearly each of them: that took a third of a small task's processor time."""
_HOLD_S: Final = 0.003
"""What comes while records are on their way is handed over when all of these are acknowledged, at the latest after so
long. It would wait anyway: for one of ``requests`` to come back, which librdkafka's thread asks for without a pause."""

_Report: TypeAlias = tuple[Done, KafkaError | None, Message]


@dataclass(frozen=True, slots=True)
class AppendSettings:
    """What the producer is set to. Times are milliseconds.

    ``batch_bytes`` must not be over the smallest ``max.message.bytes`` of the topics written to: a batch that
    the broker finds too large fails whole, its small records too. A larger record travels alone.

    ``requests``: how many may be on their way to one broker, five at most. A request is for one partition, and costs
    client and broker several times what a record in it does: what comes while some are out shares the next ones.
    """

    linger_ms: float = 0
    requests: int = 5
    delivery_timeout_ms: int = 30_000
    max_record_bytes: int = 1_000_000
    batch_bytes: int = 131_072
    queued_records: int = 100_000
    queued_kbytes: int = 65_536

    def config(self, compression: str) -> dict[str, str | float | bool]:
        """As keywords of :meth:`Connection.config`. Retries back off 10 ms, 20 ms … 1 s."""
        return {
            "acks": "all",
            "enable_idempotence": True,
            "partitioner": "murmur2_random",
            "compression_codec": compression,
            "linger_ms": self.linger_ms,
            "max_in_flight_requests_per_connection": self.requests,
            "delivery_timeout_ms": self.delivery_timeout_ms,
            "message_max_bytes": self.max_record_bytes,
            "batch_size": self.batch_bytes,
            "queue_buffering_max_messages": self.queued_records,
            "queue_buffering_max_kbytes": self.queued_kbytes,
            "retry_backoff_ms": 10,
            "topic_metadata_propagation_max_ms": 10_000,
        }


class Appender:
    """Keeps the order of its calls for each partition, also while librdkafka's queue is full.

    What is appended in one turn of the loop goes to librdkafka together, at its end; what comes meanwhile, together
    when that is acknowledged. A record that is alone waits for nothing.
    """

    def __init__(
        self,
        connection: Connection,
        settings: AppendSettings,
        loop: asyncio.AbstractEventLoop,
        *,
        compression: str = "none",
        producer_type: Callable[[dict[str, object]], Producer] = Producer,
    ) -> None:
        self._watch = ClientWatch(connection, f"producer {connection.client_id}")
        self._create = partial(producer_type, connection.config(self._watch, **settings.config(compression)))
        self._loop = loop
        self._patience = max(settings.delivery_timeout_ms / 1_000, PATIENCE_S)
        self._heard = time.monotonic()
        self._unheard = False
        self._producer = self._create()
        self._reports: list[_Report] = []
        self._waiting: deque[tuple[Outgoing, Done]] = deque()
        self._unacknowledged = 0
        self._closed_by = float("inf")
        self._closed = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="aiosv3-kafka-append", daemon=True)
        self._thread.start()

    def append(self, record: Outgoing, done: Done) -> None:
        """See :meth:`aiosv3.streams.log.Log.append`."""
        if self._closed_by != float("inf"):
            self._loop.call_soon(done, AppendFailed(f"{record.topic}: this log is closed"))
            return
        self._waiting.append((record, done))
        if len(self._waiting) == 1:
            if self._unacknowledged:
                self._loop.call_later(_HOLD_S, self._drain)
            else:
                self._loop.call_soon(self._drain)
        elif len(self._waiting) == _BUNCH:
            self._drain()

    def _produce(self, record: Outgoing, done: Done) -> bool:
        """False: not now (the queue is full, or the producer is being replaced)."""
        topic, partition, key, value, headers = record
        try:
            self._producer.produce(
                topic,
                value,
                key,
                -1 if partition is None else partition,
                partial(self._report, done),
                headers=headers,  # type: ignore[arg-type]  # list is invariant
            )
        except BufferError:
            return False
        except KafkaException as failure:
            error = error_of(failure)
            if error.fatal() or error.code() == codes.FATAL:
                return False
            self._loop.call_soon(done, self._refusal(error, topic))
        else:
            self._unacknowledged += 1
        return True

    def _report(self, done: Done, error: KafkaError | None, message: Message) -> None:
        self._reports.append((done, error, message))
        if error is None:
            self._heard = time.monotonic()
        elif error.code() == codes.NOT_DELIVERED:
            self._unheard = time.monotonic() >= self._heard + self._patience

    def _serve(self) -> None:
        while True:
            self._producer.poll(_POLL)
            if self._watch.fatal is not None:
                self._replace(f"after a fatal error: {self._watch.fatal}")
            elif self._unheard:  # librdkafka can lose its brokers for good (see .doubt)
                self._replace(f"as nothing was acknowledged for {self._patience:g} s")
            self._hand_over()
            if time.monotonic() >= self._closed_by or (self._closing and self._idle):
                break
        self._purge()
        self._hand_over()
        self._call(self._end)

    @property
    def _closing(self) -> bool:
        return self._closed_by != float("inf")

    @property
    def _idle(self) -> bool:
        return not self._waiting and not len(self._producer)

    def _hand_over(self) -> None:
        if self._reports:
            reports, self._reports = self._reports, []
            self._call(self._deliver, reports)

    def _call(self, function: Callable[..., object], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *args)

    def _deliver(self, reports: Iterable[_Report]) -> None:
        rest = iter(reports)
        try:
            for done, error, message in rest:
                self._unacknowledged -= 1
                if error is None and (offset := message.offset()) is not None and offset >= 0:
                    done(Appended(message.partition() or 0, offset, message.timestamp()[1]))
                else:
                    done(self._refusal(error, message.topic() or ""))
        finally:
            # A callback that raised must not take the acknowledgements behind it along.
            if left := list(rest):
                self._loop.call_soon(self._deliver, left)
        if not self._unacknowledged or len(self._waiting) >= _BUNCH:
            self._drain()

    def _drain(self) -> None:
        while self._waiting and self._produce(*self._waiting[0]):
            self._waiting.popleft()

    def _refusal(self, error: KafkaError | None, topic: str) -> AppendFailed:
        if error is None:
            # The broker took it for one that it has, which may be wrong: while a leader was away a later batch may have
            # come first, and librdkafka then counts the earlier one as written.
            return AppendUnknown(f"{topic}: acknowledged, but not where: read the log to its end to know")
        if error.code() == codes.TOO_LARGE:
            return RecordTooLarge(
                f"{topic}: {error.str()}. The record is over max.message.bytes of the topic, or over "
                "message.max.bytes here: send a claim check, or raise both"
            )
        if error.code() in codes.NOT_APPENDED:
            return AppendFailed(f"{topic}: {explain(error)}")
        known = self._watch.authentication
        why = f"authentication failed ({known})" if known else explain(error)
        return AppendUnknown(f"{topic}: no acknowledgement ({why}): read the log to its end to know")

    def _replace(self, why: str) -> None:
        """It never sends again, or perhaps not: what it holds is unknown, and another goes on."""
        _LOG.error("producer replaced %s", why)
        self._purge()
        silent = len(self._producer)
        self._watch.fatal = None
        self._heard, self._unheard = time.monotonic(), False
        self._producer = self._create()
        self._call(self._begin_again, silent)

    def _begin_again(self, silent: int) -> None:
        """``silent``: of so many the last one will not say what has become of them."""
        self._unacknowledged -= silent
        self._drain()

    def _purge(self) -> None:
        self._producer.purge()
        by = time.monotonic() + _PURGE_TIME
        while len(self._producer) and time.monotonic() < by:
            self._producer.poll(_POLL)

    async def close(self, wait: float) -> None:
        """Waits at most ``wait`` seconds for acknowledgements; the rest is :class:`AppendUnknown`."""
        if not self._closing:
            self._closed_by = time.monotonic() + wait
        await self._closed.wait()

    def _end(self) -> None:
        while self._waiting:
            record, done = self._waiting.popleft()
            done(AppendFailed(f"{record.topic}: the log was closed before the record could be sent"))
        self._closed.set()
