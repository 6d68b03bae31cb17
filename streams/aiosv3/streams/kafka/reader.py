"""Reading ranges of the log, apart from any group: a few consumers, each used by one call at a time.

A call takes a consumer for one batch, not for a whole range: any number of ranges can be read side by side,
also one inside another, and none of them waits for code that is slow between two batches.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.errors import BrokerUnavailable, DataLost
from aiosv3.streams.kafka import codes
from aiosv3.streams.kafka.connection import ClientWatch, Connection, error_of
from aiosv3.streams.kafka.messages import records_of
from aiosv3.streams.log import Record

_SLICE: Final = 0.1
_APPEAR: Final = 3.0
_T = TypeVar("_T")
_LATEST: Final = -1  # time stamps with a meaning of their own in ListOffsets (Kafka protocol, KIP-79)
_EARLIEST: Final = -2


class Place(NamedTuple):
    """Where a range goes on."""

    topic: str
    partition: int
    offset: int


class RangeReader:
    """One consumer. All methods block."""

    def __init__(self, connection: Connection, isolation: str, timeout: float, batch: int) -> None:
        self._watch = ClientWatch(connection, f"reader {connection.client_id}")
        self._timeout = timeout
        self._batch = batch
        self.at: Place | None = None
        self._met: set[str] = set()
        self._consumer = Consumer(
            connection.config(
                self._watch,
                group_id=f"{connection.client_id}-reader",  # the client wants one; nothing is committed
                enable_auto_commit=False,
                enable_partition_eof=True,
                auto_offset_reset="error",
                isolation_level=isolation,
                # What is asked for is on the log already, so waiting at its end is of no use, and the
                # next range cannot begin before an outstanding fetch has returned.
                fetch_wait_max_ms=2,
                fetch_queue_backoff_ms=5,
                queued_min_messages=10_000,
                fetch_message_max_bytes=262_144,
                queued_max_messages_kbytes=8_192,
            )
        )

    def batch(self, place: Place, end: int) -> tuple[list[Record], int]:
        """The next records in ``[place.offset, end)`` and where to go on; ``end`` when there are no more."""
        if self.at != place:
            self._meet(place.topic)
            self._consumer.assign([TopicPartition(*place)])
        self.at = None
        by = time.monotonic() + self._timeout
        while True:
            messages = self._fetch()
            records = [record for record in records_of(messages) if record.offset < end]
            position = self._position(messages, place)
            if position >= end:
                self._consumer.unassign()
                return records, end
            if records:
                self.at = place._replace(offset=position)
                return records, position
            if time.monotonic() >= by:
                self._consumer.unassign()
                raise self._late(place, end)

    def _fetch(self) -> list[Message]:
        first = self._consumer.poll(_SLICE)
        return [] if first is None else [first, *self._consumer.consume(self._batch - 1, 0)]

    def _position(self, messages: list[Message], place: Place) -> int:
        """Where ``messages`` leave the reader; the partition's end counts, as holes may precede it."""
        position = place.offset
        for message in messages:
            error = message.error()
            if error is None:
                position = (message.offset() or 0) + 1
            elif error.code() == codes.PARTITION_END:
                position = max(position, message.offset() or 0)
            else:
                self._fail(error, place)
        return position

    def _fail(self, error: KafkaError, place: Place) -> None:
        if error.code() in codes.OUT_OF_RANGE:
            self._consumer.unassign()
            start = self.offsets(place.topic, place.partition, _EARLIEST)
            if start > place.offset:
                raise DataLost(place.topic, place.partition, place.offset, start)
            raise self._watch.failure(error, f"reading {place.topic}[{place.partition}] at {place.offset}")
        if error.code() in codes.MISSING | codes.FORBIDDEN:
            self._consumer.unassign()
            raise self._watch.failure(error, f"reading {place.topic}[{place.partition}]")

    def _late(self, place: Place, end: int) -> AiosError:
        waited = KafkaError(codes.TIMED_OUT, f"nothing came within {self._timeout:g} s")
        return self._watch.failure(waited, f"reading {place.topic}[{place.partition}] [{place.offset}, {end})")

    def offsets(self, topic: str, partition: int, timestamp: int) -> int:
        """ListOffsets for one partition; -1: no record is that young."""
        by = time.monotonic() + _APPEAR
        while True:
            try:
                found = self._consumer.offsets_for_times(
                    [TopicPartition(topic, partition, timestamp)], timeout=self._timeout
                )[0]
                error = found.error
            except KafkaException as failure:
                error = error_of(failure)
            if error is None:
                return found.offset
            if error.code() not in codes.MISSING | codes.LEADERLESS or time.monotonic() >= by:
                self._consumer.poll(0)  # lets the client tell why (error_cb)
                error = self._confirmed(error, topic, partition)
                raise self._watch.failure(error, f"asking for offsets of {topic}[{partition}]")
            if error.code() in codes.LEADERLESS:
                self._look_up(topic)
            time.sleep(0.02)  # a topic just created may not have reached this broker yet, nor a leader been chosen

    def _confirmed(self, error: KafkaError, topic: str, partition: int) -> KafkaError:
        """A client whose broker is down says of any partition that it does not know it: only a broker can say so."""
        if error.code() not in codes.MISSING:
            return error
        try:
            known = self._consumer.list_topics(topic, timeout=self._timeout).topics.get(topic)
        except KafkaException as failure:
            return error_of(failure)
        there = known is not None and partition in known.partitions
        return KafkaError(codes.TIMED_OUT, "its broker came back this moment") if there else error

    def _meet(self, topic: str) -> None:
        """A topic that the client does not know would wait for the next round of its look-ups, a second apart."""
        if topic not in self._met:
            self._look_up(topic)
            self._met.add(topic)

    def _look_up(self, topic: str) -> None:
        """Asks for the leaders of a topic; whoever asked for an offset gets to hear of a failure."""
        with suppress(KafkaException):
            self._consumer.list_topics(topic, timeout=self._timeout)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Start and end, as the broker says them now."""
        return self.offsets(topic, partition, _EARLIEST), self.offsets(topic, partition, _LATEST)

    def offset_at(self, topic: str, partition: int, timestamp: int) -> int:
        """First offset at or after a broker time, else the end. The end is asked first:
        a record that comes between the two questions is then never skipped.
        """
        end = self.offsets(topic, partition, _LATEST)
        found = self.offsets(topic, partition, max(timestamp, 0))
        return end if found < 0 else found

    def ping(self, answer: float | None = None) -> None:
        """Raises :class:`BrokerUnavailable` unless a broker answers, within ``answer`` seconds where they are given."""
        try:
            self._consumer.list_topics(timeout=self._timeout if answer is None else answer)
        except KafkaException as failure:
            self._consumer.poll(0)
            raise self._watch.failure(error_of(failure), "connecting") from failure

    def rest(self) -> None:
        """Stops fetching."""
        self.at = None
        self._consumer.unassign()

    def close(self) -> None:
        self._consumer.close()

    def let_go(self) -> None:
        """Closes it on a thread of its own, as that may take for ever."""
        threading.Thread(target=self._consumer.close, name="aiosv3-kafka-let-go", daemon=True).start()


class Readers:
    """Lends :class:`RangeReader` to coroutines, each call on a thread of its own."""

    def __init__(self, create: Callable[[], RangeReader], size: int) -> None:
        self._create = create
        self._idle: list[RangeReader] = []
        self._free = asyncio.Semaphore(size)
        self._threads = ThreadPoolExecutor(size, "aiosv3-kafka-read")

    async def batch(self, place: Place, end: int) -> tuple[list[Record], int]:
        """See :meth:`RangeReader.batch`."""
        return await self._lend(lambda reader: reader.batch(place, end), place)

    async def ask(self, question: Callable[[RangeReader], _T]) -> _T:
        """Puts ``question`` to some reader."""
        return await self._lend(question, None)

    async def release(self, place: Place) -> None:
        """A range was given up at ``place``: the reader that stands there stops fetching ahead."""
        if any(reader.at == place for reader in self._idle):
            await self._lend(RangeReader.rest, place)

    async def _lend(self, work: Callable[[RangeReader], _T], place: Place | None) -> _T:
        await self._free.acquire()
        reader = self._pick(place)
        job = asyncio.get_running_loop().run_in_executor(self._threads, self._work, reader, work)
        job.add_done_callback(self._back)
        # A caller that is cancelled must not free a consumer which its thread still uses.
        return await asyncio.shield(job)

    def _pick(self, place: Place | None) -> RangeReader | None:
        """The reader that stands at ``place``; else one that stands nowhere."""
        for wanted in (place, None):
            for index, reader in enumerate(self._idle):
                if reader.at == wanted:
                    return self._idle.pop(index)
        return self._idle.pop(0) if self._idle else None

    def _work(self, reader: RangeReader | None, work: Callable[[RangeReader], _T]) -> _T:
        used = reader or self._create()
        try:
            done = work(used)
        except BrokerUnavailable:
            used.let_go()  # librdkafka can lose its brokers for good (see .doubt): the next caller has a new client
            raise
        except BaseException:
            self._idle.append(used)
            raise
        self._idle.append(used)
        return done

    def _back(self, job: asyncio.Future[_T]) -> None:
        self._free.release()
        if not job.cancelled():
            job.exception()  # a caller that was cancelled does not ask for it

    async def close(self) -> None:
        """Waits for the calls in progress, then frees consumers and threads."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._threads.shutdown(wait=True)
        while self._idle:
            self._idle.pop().close()
