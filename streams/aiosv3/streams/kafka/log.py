"""The log port on Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Final

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from aiosv3.streams.errors import AppendFailed
from aiosv3.streams.kafka.admin import admin_client
from aiosv3.streams.kafka.appender import Appender, AppendSettings
from aiosv3.streams.kafka.connection import ClientWatch, Connection, error_of
from aiosv3.streams.kafka.reader import Place, RangeReader, Readers
from aiosv3.streams.kafka.transactions import TransactionalAppender
from aiosv3.streams.log import Bounds, Done, Outgoing, Record

_READERS: Final = 3


@dataclass(frozen=True, slots=True)
class LogSettings:
    """``gzip`` names the topics that are written compressed; ``timeout`` is seconds for one answer.

    ``fleeting`` names those whose records soon mean nothing: nothing else waits behind them, as they have a producer of
    their own, which gives up early (``passing``).
    """

    append: AppendSettings = field(default_factory=AppendSettings)
    passing: AppendSettings = field(default_factory=partial(AppendSettings, delivery_timeout_ms=5_000))
    gzip: frozenset[str] = frozenset()
    fleeting: frozenset[str] = frozenset()
    isolation: str = "read_committed"
    read_batch: int = 1_000
    timeout: float = 10.0


class KafkaLog:
    """:class:`aiosv3.streams.log.Log` on one cluster. Call :meth:`start`, or use ``async with``."""

    def __init__(
        self,
        connection: Connection,
        settings: LogSettings | None = None,
        *,
        producer_type: Callable[[dict[str, object]], Producer] = Producer,
    ) -> None:
        self.connection = connection
        self._settings = settings or LogSettings()
        self._producer_type = producer_type
        self._appenders: dict[tuple[bool, bool], Appender] = {}
        self._transactions: set[TransactionalAppender] = set()
        self._readers = Readers(self._create_reader, _READERS)
        self._watch = ClientWatch(connection, f"admin {connection.client_id}")
        self._admin: AdminClient | None = None
        self._closed = False

    async def start(self, answer: float | None = None) -> None:
        """Raises :class:`BrokerUnavailable` when no broker answers within ``answer`` seconds (else ``timeout``).

        The producer is made first: librdkafka lets one that is given a record before its first connection wait for half
        a second.
        """
        if not self._appenders:
            self._appenders[False, False] = self._made(gzip=False, fleeting=False)
        await self._readers.ask(lambda reader: reader.ping(answer))

    def append(self, record: Outgoing, done: Done) -> None:
        """See :meth:`aiosv3.streams.log.Log.append`."""
        kind = record.topic in self._settings.gzip, record.topic in self._settings.fleeting
        appender = self._appenders.get(kind)
        if appender is None:
            appender = self._create_appender(*kind, done=done, record=record)
            if appender is None:
                return
        appender.append(record, done)

    def _create_appender(self, gzip: bool, fleeting: bool, *, done: Done, record: Outgoing) -> Appender | None:
        if self._closed:
            asyncio.get_running_loop().call_soon(done, AppendFailed(f"{record.topic}: this log is closed"))
            return None
        self._appenders[gzip, fleeting] = appender = self._made(gzip=gzip, fleeting=fleeting)
        return appender

    def _made(self, *, gzip: bool, fleeting: bool) -> Appender:
        return Appender(
            self.connection,
            self._settings.passing if fleeting else self._settings.append,
            asyncio.get_running_loop(),
            compression="gzip" if gzip else "none",
            producer_type=self._producer_type,
        )

    async def transactions(self, topic: str, partition: int) -> TransactionalAppender:
        """See :meth:`aiosv3.streams.log.Log.transactions`. Raises :class:`BrokerUnavailable`."""
        made = TransactionalAppender(
            self.connection,
            self._settings.append.config("gzip" if topic in self._settings.gzip else "none"),
            f"{topic}/{partition}",
            asyncio.get_running_loop(),
            producer_type=self._producer_type,
        )
        self._transactions = {other for other in self._transactions if not other.ended} | {made}
        await made.start()
        return made

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """See :meth:`aiosv3.streams.log.Log.read`."""
        place = Place(topic, partition, start)
        try:
            while place.offset < end:
                records, position = await self._readers.batch(place, end)
                place = place._replace(offset=position)
                if records:
                    yield records
        finally:
            if start < place.offset < end:
                await self._readers.release(place)

    async def bounds(self, topic: str, partition: int) -> Bounds:
        """See :meth:`aiosv3.streams.log.Log.bounds`."""
        return Bounds(*await self._readers.ask(lambda reader: reader.bounds(topic, partition)))

    async def offset_at(self, topic: str, partition: int, timestamp: int) -> int:
        """See :meth:`aiosv3.streams.log.Log.offset_at`."""
        return await self._readers.ask(lambda reader: reader.offset_at(topic, partition, timestamp))

    async def truncate(self, topic: str, partition: int, before: int) -> None:
        """See :meth:`aiosv3.streams.log.Log.truncate`."""
        if self._admin is None:
            self._admin = admin_client(self.connection, self._watch)
        futures = self._admin.delete_records(
            [TopicPartition(topic, partition, before)], request_timeout=self._settings.timeout
        )
        try:
            await asyncio.gather(*(asyncio.wrap_future(future) for future in futures.values()))
        except KafkaException as failure:
            self._admin = None  # librdkafka can lose its brokers for good (see .doubt)
            error = error_of(failure)
            doing = f"deleting {topic}[{partition}] below {before}"
            raise self._watch.failure(error, doing) from failure

    async def close(self) -> None:
        """Waits for acknowledgements (at most the delivery timeout), then frees all threads."""
        self._closed = True
        wait = self._settings.append.delivery_timeout_ms / 1_000
        await asyncio.gather(*(appender.close(wait) for appender in self._appenders.values()))
        for writer in self._transactions:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._transactions))
        await self._readers.close()
        self._admin = None

    def _create_reader(self) -> RangeReader:
        settings = self._settings
        return RangeReader(self.connection, settings.isolation, settings.timeout, settings.read_batch)

    async def __aenter__(self) -> KafkaLog:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
