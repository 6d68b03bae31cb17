"""The shared truth of the double: topics, logs, groups."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.errors import AppendFailed, Fenced, RecordTooLarge
from aiosv3.streams.log import Appended, Outgoing, Record
from aiosv3.streams.testing.group import Group
from aiosv3.streams.testing.network import Network
from aiosv3.streams.testing.partition import Partition

_OVERHEAD: Final = 70  # bytes that a batch of one record adds
_MAX_MESSAGE: Final = 1_048_588  # Kafka's message.max.bytes


class UnknownTopic(AiosError):
    """The double has no such topic or partition: nothing is created by itself."""


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """``retention_ms`` None: records do not expire (journals). Times are broker times (``LogAppendTime``).

    ``compaction_lag_ms``: records younger than this are not compacted (Kafka: ``min.compaction.lag.ms``).
    """

    cleanup: Literal["delete", "compact"] = "delete"
    retention_ms: int | None = None
    max_message_bytes: int = _MAX_MESSAGE
    compaction_lag_ms: int = 0


class MemoryBroker:
    """One broker for any number of :class:`~aiosv3.streams.testing.MemoryLog`.

    ``clock`` gives seconds since the epoch and stamps records. ``session_timeout`` and ``heartbeat`` are
    seconds of the network's clock. ``watch(who, what, details)`` hears of everything that changes. Methods
    here act at once, as tests want it; processes go through a log and a member, which go through ``network``.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        network: Network | None = None,
        *,
        session_timeout: float = 6.0,
        heartbeat: float = 1.0,
        watch: Callable[[str, str, str], None] = lambda who, what, details: None,
    ) -> None:
        self.clock = clock
        self.network = network or Network()
        self.session_timeout = session_timeout
        self.heartbeat = heartbeat
        self.watch = watch
        self.archive = False
        """Topics that are created from now on keep what is deleted, for :meth:`records` alone."""
        self._topics: dict[str, list[Partition]] = {}
        self._settings: dict[str, TopicSettings] = {}
        self._groups: dict[tuple[str, str], Group] = {}
        self._sessions: dict[tuple[Group, str], None] = {}

    # ---- topics

    def create_topic(self, name: str, partitions: int = 6, settings: TopicSettings | None = None) -> None:
        """Does nothing where the topic exists; ValueError where it does with another partition count."""
        if name in self._topics:
            if self.partitions(name) != partitions:
                raise ValueError(f"{name} has {self.partitions(name)} partitions, not {partitions}")
            return
        self._topics[name] = [Partition(archive=self.archive) for _ in range(partitions)]
        self._settings[name] = settings or TopicSettings()

    def topics(self) -> tuple[str, ...]:
        """Names, in order of creation."""
        return tuple(self._topics)

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 where there is no such topic."""
        return len(self._topics.get(topic, ()))

    def partition(self, topic: str, partition: int) -> Partition:
        """Raises :class:`UnknownTopic`."""
        if not 0 <= partition < self.partitions(topic):
            raise UnknownTopic(f"no partition {partition} of {topic} here: create the topic first")
        return self._topics[topic][partition]

    def records(self, topic: str, partition: int | None = None) -> Sequence[Record]:
        """What a topic holds now, partition by partition; with an archive what it ever held."""
        wanted = range(self.partitions(topic)) if partition is None else (partition,)
        return [record for number in wanted for record in self.partition(topic, number).records]

    def append(self, record: Outgoing, by: str = "test") -> Appended:
        """Appends to ``record.partition`` (None: 0). Raises what a producer would be told."""
        number = record.partition or 0
        if not 0 <= number < self.partitions(record.topic):
            raise AppendFailed(f"{record.topic}: no partition {number} here: create the topic first")
        settings = self._settings[record.topic]
        if _size(record) > settings.max_message_bytes:
            raise RecordTooLarge(
                f"{record.topic}: {_size(record)} bytes, max.message.bytes is {settings.max_message_bytes}"
            )
        if settings.cleanup == "compact" and record.key is None:
            raise AppendFailed(f"{record.topic}: a compacted topic takes no record without a key")
        stamp = int(self.clock() * 1000)
        landed = self._topics[record.topic][number].append(record, number, stamp)
        self.watch(by, "append", f"{record.topic}[{number}]@{landed.offset}")
        return Appended(number, landed.offset, stamp)

    def begin_transaction(self, topic: str, partition: int, writer: int, records: int) -> None:
        """So many records are there and cannot be read yet; Fenced unless :meth:`fence` has made ``writer`` last."""
        log = self.partition(topic, partition)
        if log.writer != writer:
            raise Fenced(f"{topic}[{partition}]: another writer has taken over")
        log.begun = records

    def append_in_transaction(
        self, records: Sequence[Outgoing], writer: int, by: str = "test"
    ) -> list[Appended | AppendFailed]:
        """A transaction of records of one partition, whole and over; of each what its producer would be told."""
        topic, number = records[0].topic, records[0].partition or 0
        self.begin_transaction(topic, number, writer, len(records))
        outcomes: list[Appended | AppendFailed] = []
        for record in records:
            try:
                outcomes.append(self.append(record, by))
            except AppendFailed as error:
                outcomes.append(error)
        self.partition(topic, number).commit()
        return outcomes

    def end(self, topic: str, partition: int, writer: int) -> None:
        """The transactions of a writer took too long: it writes no more, if it still could."""
        if self.partition(topic, partition).writer == writer:
            self.fence(topic, partition)

    def fence(self, topic: str, partition: int) -> int:
        """The next writer of a partition; the one before writes no more, and what it has begun never was."""
        log = self.partition(topic, partition)
        log.abort()
        log.writer += 1
        return log.writer

    def truncate(self, topic: str, partition: int, before: int) -> None:
        """Deletes the records below ``before``. ValueError beyond the end of the log."""
        log = self.partition(topic, partition)
        if before > log.end:
            raise ValueError(f"{topic}[{partition}] ends at {log.end}: cannot delete below {before}")
        log.truncate(before)
        self.watch("broker", "truncate", f"{topic}[{partition}] starts at {log.start}")

    def clean(self) -> None:
        """Retention and compaction, now, wherever the topics' settings ask for them."""
        for topic, settings in self._settings.items():
            for log in self._topics[topic]:
                if settings.cleanup == "compact":
                    log.compact(int(self.clock() * 1000) - settings.compaction_lag_ms)
                elif settings.retention_ms is not None:
                    log.expire(int(self.clock() * 1000) - settings.retention_ms)

    # ---- groups

    def group(self, name: str, topic: str) -> Group:
        """The group of this name on this topic; it exists from the first question on."""
        if (name, topic) not in self._groups:
            self._groups[name, topic] = Group(name, self.partitions(topic), self.watch)
        return self._groups[name, topic]

    def groups(self) -> tuple[Group, ...]:
        """All groups, in order of appearance."""
        return tuple(self._groups.values())

    def forget_commits(self, group: str, topic: str) -> None:
        """What Kafka does to a group without members after ``offsets.retention.minutes`` (rule 12)."""
        self.group(group, topic).committed.clear()

    def keep_session(self, group: Group, member: str) -> None:
        """Fences ``member`` once no heartbeat has come for a session timeout; call it at each join."""
        if (group, member) not in self._sessions:
            self._sessions[group, member] = None
            self._check_session(group, member)

    def _check_session(self, group: Group, member: str) -> None:
        seen = group.seen(member)
        left = 0.0 if seen is None else seen + self.session_timeout - self.network.time()
        if left > 0:
            self.network.later(left, lambda: self._check_session(group, member))
            return
        del self._sessions[group, member]
        group.remove(member, "session timed out")


def _size(record: Outgoing) -> int:
    headers = sum(len(name.encode()) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers + _OVERHEAD
