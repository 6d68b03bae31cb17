"""Reads whole topics the way an outsider would: a plain confluent-kafka consumer and our codec."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.store import SchemaStore

_LEADER_S: Final = 30.0
_NO_LEADER: Final = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
}


@dataclass
class TopicReader:
    """``lock``: the project's schema lock, so that agents' results decode."""

    bootstrap: str
    lock: Path

    def codec(self) -> Codec:
        """A codec that knows what the project registered until now."""
        return Codec(SchemaStore(self.lock if self.lock.exists() else None))

    def messages(self, topic: str) -> list[Message]:
        """All records of a topic, partition by partition."""
        return [message for partition in self._partitions(topic) for message in self.partition(topic, partition)]

    def _partitions(self, topic: str) -> list[int]:
        consumer = self._consumer()
        try:
            return sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )

    def partition(self, topic: str, partition: int) -> Iterator[Message]:
        """The records of one partition, up to its end now: the last offset may be that of a transaction's end."""
        consumer = self._consumer()
        try:
            low, _ = _bounds(consumer, TopicPartition(topic, partition))
            consumer.assign([TopicPartition(topic, partition, low)])
            while True:
                for message in consumer.consume(1_000, timeout=1):
                    if (error := message.error()) is None:
                        yield message
                    elif error.code() == KafkaError._PARTITION_EOF:
                        return
                    else:
                        raise AssertionError(error)
        finally:
            consumer.close()

    def count(self, topic: str) -> int:
        """How many offsets a topic has now: its records, and the ends of transactions (no compaction, no deletion)."""
        consumer = self._consumer()
        try:
            parts = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            bounds = [_bounds(consumer, TopicPartition(topic, partition)) for partition in parts]
            return sum(high - low for low, high in bounds)
        finally:
            consumer.close()


def _bounds(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """A partition that was just created may have no leader yet, or one that the client has not heard of."""
    deadline = time.monotonic() + _LEADER_S
    while True:
        try:
            found = consumer.get_watermark_offsets(place, timeout=10)
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER or time.monotonic() > deadline:
                raise
            consumer.list_topics(place.topic, timeout=10)
            continue
        assert found is not None, place
        return found[0], found[1]


def header(message: Message, name: str) -> str | None:
    """A header as text."""
    headers: Any = message.headers() or []
    return next((value.decode() for key, value in headers if key == name and value is not None), None)


def plain_producer(bootstrap: str) -> Producer:
    """An ordinary producer, with the partitioner of Java's clients."""
    return Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})


def first_by_id(rows: list[tuple[str, Any]]) -> dict[str, list[Any]]:
    """Id -> everything said under it, in order."""
    found: dict[str, list[Any]] = {}
    for name, value in rows:
        found.setdefault(name, []).append(value)
    return found
