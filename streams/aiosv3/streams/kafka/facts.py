"""What must be known of a partition before reading it: the group's commit, and where its two logs start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from aiosv3.streams.log import Committed

# A member that owns a partition without a commit proves its lease with this one. It says nothing
# that "no commit" does not say, and is read back as "no commit".
PLACEHOLDER: Final = "aiosv3:lease"
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
