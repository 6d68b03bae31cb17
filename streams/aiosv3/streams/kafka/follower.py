"""Following partitions on Kafka: one consumer on one thread, whatever the number of partitions."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.errors import DataLost
from aiosv3.streams.kafka import codes
from aiosv3.streams.kafka.connection import ClientWatch, Connection, error_of
from aiosv3.streams.kafka.messages import records_of
from aiosv3.streams.log import Record

_SLICE_S: Final = 0.05
"""How long a new partition may wait until the thread hears of it."""
_FETCH_MS: Final = 100
"""A partition joins the next fetch, not the one that the broker holds open: so long it may wait. Records do not."""
_ANSWER_S: Final = 10.0
_BATCH: Final = 1_000
_EARLIEST: Final = -2
_RECORD: Final = 500
"""Bytes of a record beside its value, about."""
_HOLD: Final = 1 << 25
"""Bytes of a partition that may wait for whoever follows it."""

Item: TypeAlias = Sequence[Record] | AiosError | None
Place: TypeAlias = tuple[str, int]


@dataclass(slots=True, eq=False)
class _Stream:
    """One partition that somebody follows; None in the queue ends it.

    ``given`` is counted by the thread, ``taken`` by the loop: what lies between them waits in ``items``.
    """

    place: Place
    start: int
    loop: asyncio.AbstractEventLoop
    items: asyncio.Queue[Item]
    given: int = 0
    taken: int = 0
    paused: bool = False

    def give(self, item: Item) -> None:
        """From the thread. A loop that is closed has nobody who listens."""
        self.given += _size(item)
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.items.put_nowait, item)

    @property
    def waiting(self) -> int:
        """Bytes that nobody has taken yet."""
        return self.given - self.taken


def _size(item: Item) -> int:
    if not isinstance(item, Sequence):
        return 0
    return sum(_RECORD + len(record.value or b"") for record in item)


class KafkaFollower:
    """:class:`aiosv3.streams.following.Follower` on one cluster. The thread starts with the first partition.

    Of a partition whose records nobody takes at most about ``hold`` bytes wait here: the rest is fetched later.
    """

    def __init__(self, connection: Connection, hold: int = _HOLD) -> None:
        self._connection = connection
        self._hold = hold
        self._orders: queue.SimpleQueue[Callable[[_Thread], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._followed: dict[Place, _Stream] = {}
        self._closed = False

    async def follow(self, topic: str, partition: int, start: int) -> AsyncIterator[Sequence[Record]]:
        """See :meth:`aiosv3.streams.following.Follower.follow`. ValueError where somebody follows it already."""
        place = (topic, partition)
        if place in self._followed:
            raise ValueError(f"{topic}[{partition}] is followed already: share the one that does")
        if self._closed:
            return
        stream = self._followed[place] = _Stream(place, start, asyncio.get_running_loop(), asyncio.Queue())
        self._order(lambda thread: thread.begin(stream))
        try:
            while (item := await stream.items.get()) is not None:
                if isinstance(item, AiosError):
                    raise item
                yield item
                stream.taken += _size(item)
        finally:
            del self._followed[place]
            self._order(lambda thread: thread.end(stream))

    def _order(self, order: Callable[[_Thread], None]) -> None:
        self._orders.put(order)
        if self._thread is None and not self._closed:
            work = _Thread(self._connection, self._orders, self._hold)
            self._thread = threading.Thread(target=work.run, name="aiosv3-kafka-follow", daemon=True)
            self._thread.start()

    async def close(self) -> None:
        """See :meth:`aiosv3.streams.following.Follower.close`."""
        self._closed = True
        if self._thread is not None:
            self._orders.put(_Thread.stop)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)


class _Thread:
    """The consumer and what it follows; touched by its own thread only."""

    def __init__(self, connection: Connection, orders: queue.SimpleQueue[Callable[[_Thread], None]], hold: int) -> None:
        self._orders = orders
        self._hold = hold
        self._watch = ClientWatch(connection, f"follower {connection.client_id}")
        self._streams: dict[Place, _Stream] = {}
        self._stopping = False
        self._consumer = Consumer(
            connection.config(
                self._watch,
                group_id=f"{connection.client_id}-follower",  # the client wants one; nothing is committed
                enable_auto_commit=False,
                auto_offset_reset="error",
                fetch_wait_max_ms=_FETCH_MS,
                fetch_queue_backoff_ms=5,
                queued_max_messages_kbytes=16_384,
            )
        )

    def run(self) -> None:
        """Until it is told to stop. With nothing to follow it sleeps."""
        try:
            while not self._stopping:
                self._obey()
                if self._streams and not self._stopping:
                    self._deliver(self._fetch())
                    self._spare()
        finally:
            for stream in self._streams.values():
                stream.give(None)
            self._consumer.close()

    def begin(self, stream: _Stream) -> None:
        """Follows one more partition."""
        self._streams[stream.place] = stream
        self._consumer.incremental_assign([TopicPartition(*stream.place, stream.start)])

    def end(self, stream: _Stream) -> None:
        """Follows one less, if it is still this one."""
        if self._streams.get(stream.place) is stream:
            del self._streams[stream.place]
            if stream.paused:  # or it is paused still when it is followed again
                self._consumer.resume([TopicPartition(*stream.place)])
            self._consumer.incremental_unassign([TopicPartition(*stream.place)])

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping = True

    def _obey(self) -> None:
        with suppress(queue.Empty):
            if not self._streams:
                self._orders.get()(self)
            while not self._stopping:
                self._orders.get_nowait()(self)

    def _fetch(self) -> list[Message]:
        first = self._consumer.poll(_SLICE_S)
        return [] if first is None else [first, *self._consumer.consume(_BATCH - 1, 0)]

    def _spare(self) -> None:
        """Fetches no more of what nobody takes, until half of what waits is taken."""
        for stream in self._streams.values():
            if not stream.paused and stream.waiting > self._hold:
                self._consumer.pause([TopicPartition(*stream.place)])
                stream.paused = True
            elif stream.paused and stream.waiting < self._hold // 2:
                self._consumer.resume([TopicPartition(*stream.place)])
                stream.paused = False

    def _deliver(self, messages: list[Message]) -> None:
        batches: dict[Place, list[Record]] = {}
        for record in records_of(messages):
            batches.setdefault((record.topic, record.partition), []).append(record)
        for place, batch in batches.items():
            if (stream := self._streams.get(place)) is not None:
                stream.give(batch)
        for message in messages:
            if (error := message.error()) is not None:
                self._trouble(error, (message.topic() or "", message.partition() or 0))

    def _trouble(self, error: KafkaError, place: Place) -> None:
        """What librdkafka gets over by itself is not told; the rest ends the stream that it is about.

        It does not tell which partition a topic that was deleted is about: such a stream waits, as for a broker.
        """
        stream = self._streams.get(place)
        if stream is None:
            return
        if error.code() in codes.OUT_OF_RANGE:
            self._fail(stream, self._lost(stream, error))
        elif error.code() in codes.FORBIDDEN | codes.MISSING:
            self._fail(stream, self._watch.failure(error, f"following {place[0]}[{place[1]}]"))

    def _lost(self, stream: _Stream, error: KafkaError) -> AiosError:
        topic, partition = stream.place
        try:
            question = [TopicPartition(topic, partition, _EARLIEST)]
            start = self._consumer.offsets_for_times(question, timeout=_ANSWER_S)[0].offset
        except KafkaException as failure:
            return self._watch.failure(error_of(failure), f"following {topic}[{partition}]")
        if start > stream.start:
            return DataLost(topic, partition, stream.start, start)
        return self._watch.failure(error, f"following {topic}[{partition}] from {stream.start}")

    def _fail(self, stream: _Stream, error: AiosError) -> None:
        self.end(stream)
        stream.give(error)
