"""What a member reads, and what it has of it."""

from __future__ import annotations

from typing import NamedTuple

from confluent_kafka import TopicPartition

from aiosv3.streams.log import Committed, Start


class Subscription(NamedTuple):
    """What a member reads. The journal is not subscribed: its partitions ride along."""

    group: str
    topic: str
    journal: str | None

    def places(self, partition: int, start: Start | None, otherwise: int) -> list[TopicPartition]:
        """What is assigned for it: without a ``start`` the input alone, from ``otherwise``."""
        if start is None:
            return [TopicPartition(self.topic, partition, otherwise)]
        places = [TopicPartition(self.topic, partition, start.input)]
        if self.journal is not None and start.journal is not None:
            places.append(TopicPartition(self.journal, partition, start.journal))
        return places


class Owned:
    """A partition that the group gave us, and what is assigned to the consumer for it.

    ``start`` is None while nothing is read from it: refused, not opened yet (``late``), or its
    records are lost.
    """

    __slots__ = ("assigned", "committed", "late", "start", "told")

    def __init__(self) -> None:
        self.assigned: list[TopicPartition] = []
        self.committed: Committed | None = None
        self.start: Start | None = None
        self.late = False
        self.told = False  # the listener has it, and must be asked to give it back
