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
