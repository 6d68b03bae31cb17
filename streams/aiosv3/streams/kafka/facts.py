"""What a member asks the broker about its partitions. All functions block, and raise ``KafkaException``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.errors import DataLost, PartitionMismatch
from aiosv3.streams.kafka import codes
from aiosv3.streams.kafka.connection import KafkaRefused
from aiosv3.streams.log import Committed

# A member that owns a partition without a commit proves its lease with this one. It says nothing
# that "no commit" does not say, and is read back as "no commit".
PLACEHOLDER: Final = "aiosv3:lease"
_CONNECT: Final = 10.0
_APPEAR: Final = 5.0
_ANSWER: Final = 5.0
_EARLIEST: Final = -2  # the oldest offset, as a time stamp of ListOffsets (Kafka protocol, KIP-79)


class Facts(NamedTuple):
    """``journal_start`` is 0 for members without a journal."""

    committed: Committed | None
    input_start: int
    journal_start: int


def fetch(
    consumer: Consumer, topic: str, journal: str | None, partitions: Sequence[int], timeout: float
) -> dict[int, Facts]:
    """Two requests, whatever the number of partitions. Raises ``KafkaException``."""
    commits = consumer.committed([TopicPartition(topic, p) for p in partitions], timeout=timeout)
    found = log_starts(consumer, [topic] if journal is None else [topic, journal], partitions, timeout)
    for commit in commits:
        if commit.error is not None:
            raise KafkaException(commit.error)
    return {
        commit.partition: Facts(
            _committed(commit),
            found[topic, commit.partition],
            0 if journal is None else found[journal, commit.partition],
        )
        for commit in commits
    }


def log_starts(
    consumer: Consumer, topics: Sequence[str], partitions: Sequence[int], timeout: float
) -> dict[tuple[str, int], int]:
    """The oldest offset of each partition of each topic, in one request. Raises ``KafkaException``."""
    asked = [TopicPartition(topic, partition, _EARLIEST) for topic in topics for partition in partitions]
    starts = consumer.offsets_for_times(asked, timeout=timeout)
    for start in starts:
        if start.error is not None:
            raise KafkaException(start.error)
    return {(start.topic, start.partition): start.offset for start in starts}


def _committed(commit: TopicPartition) -> Committed | None:
    if commit.offset < 0 or commit.metadata == PLACEHOLDER:
        return None
    return Committed(commit.offset, commit.metadata or "")


def check_topics(consumer: Consumer, names: Sequence[str]) -> None:
    """All topics are there and have the same number of partitions, or an error says what is wrong."""
    by = time.monotonic() + _APPEAR
    while True:
        topics = consumer.list_topics(timeout=_CONNECT).topics
        missing = [name for name in names if name not in topics or not topics[name].partitions]
        if not missing:
            break
        if time.monotonic() >= by:
            raise KafkaRefused(codes.NO_SUCH_TOPIC, f"no topic {' or '.join(missing)}: create it first")
        time.sleep(0.02)  # one just created may not have reached this broker yet
    counts = {name: len(topics[name].partitions) for name in names}
    if len(set(counts.values())) > 1:
        raise PartitionMismatch(f"partition counts must be the same: {counts}")


def out_of_range(consumer: Consumer, topic: str, partition: int, needed: int) -> AiosError:
    """The error to show where the broker says that it has no record at ``needed``."""
    start = log_starts(consumer, [topic], [partition], _ANSWER)[topic, partition]
    if start > needed:
        return DataLost(topic, partition, needed, start)
    return KafkaRefused(
        codes.BEYOND,
        f"{topic}[{partition}] ends before offset {needed}, from where this group wants to read: the topic was "
        "created again, or lost its tail. Set the group's offset with kafka-consumer-groups --reset-offsets",
    )
