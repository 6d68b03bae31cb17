"""Reading whole topics: from the first record to the end, and on from there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition

from aiosv3.app.demo.licences import LicenceText, Verdict
from aiosv3.schemas import headers as names
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.registry import RegistryClient
from aiosv3.schemas.store import SchemaStore, UnresolvedSchema
from aiosv3.schemas.topics import Topics

T = TypeVar("T")
QUIETLY: Final[dict[str, Any]] = {"log_level": 0}
"""For clients of the demo itself: a killed broker is no news, and a line a moment would break the picture."""

_BATCH = 500
_TIMEOUT_S = 10.0
_PAUSE_S = 0.1


class TopicMissing(AiosError):
    """A topic is not there in time; or the broker cannot be asked."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A record as it lies on the log. ``timestamp``: broker time in milliseconds since the epoch."""

    partition: int
    offset: int
    timestamp: int
    headers: tuple[tuple[str, bytes], ...]
    value: bytes | None

    def header(self, name: str) -> str:
        """The first header of this name as text; empty when there is none."""
        return next((value.decode("utf-8", "replace") for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A decoded record and its place. ``timestamp``: broker time in milliseconds since the epoch."""

    partition: int
    offset: int
    timestamp: int
    value: T


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """What the report needs of a task. ``clearance``: the data's class, as the producer set it."""

    task_id: str
    distribution: str
    clearance: str


Result = ResultEnvelope[Verdict]


class _Reading(Protocol):
    def assign(self, partitions: list[TopicPartition]) -> None: ...
    def consume(self, num_messages: int, timeout: float) -> list[Any]: ...
    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]: ...
    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int] | None: ...
    def list_topics(self, topic: str, timeout: float) -> Any: ...
    def close(self) -> None: ...


class TopicLog:
    """All partitions of one topic, without a group and without commits."""

    def __init__(self, consumer: _Reading, topic: str, partitions: int) -> None:
        self.topic = topic
        self._consumer = consumer
        self._partitions = [TopicPartition(topic, number, 0) for number in range(partitions)]
        self._next = dict.fromkeys(range(partitions), 0)
        consumer.assign(self._partitions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def fresh(self, timeout_s: float) -> list[Raw]:
        """What has come since the last call, after at most ``timeout_s`` seconds; empty if nothing has."""
        return [raw for message in self._consumer.consume(_BATCH, timeout_s) if (raw := self._raw(message))]

    def to_end(self) -> list[Raw]:
        """What has come since the last call, up to the end as it is now. Raises :class:`TopicMissing`."""
        ends = {part.partition: self._end(part) for part in self._partitions}
        found: list[Raw] = []
        deadline = time.monotonic() + _TIMEOUT_S
        while any(self._next[number] < end for number, end in ends.items()):
            if time.monotonic() > deadline:
                raise TopicMissing(f"{self.topic} could not be read to its end within {_TIMEOUT_S:g} s")
            found += self.fresh(_PAUSE_S)
            self._advance()
        return found

    def _end(self, part: TopicPartition) -> int:
        """Asked again for a while: a partition that was just created has no leader yet."""
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                bounds = self._consumer.get_watermark_offsets(part, timeout=_TIMEOUT_S)
                break
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise TopicMissing(f"the broker does not say where {self.topic} ends: {error}") from None
                self._consumer.list_topics(self.topic, timeout=_TIMEOUT_S)
        if bounds is None:
            raise TopicMissing(f"the broker does not say where {self.topic} ends")
        return bounds[1]

    def _advance(self) -> None:
        """Positions, not records: an end may lie behind records that no reader sees."""
        for part in self._consumer.position(self._partitions):
            if part.offset >= 0:
                self._next[part.partition] = part.offset

    def _raw(self, message: Any) -> Raw | None:
        if message.error() is not None:
            return None
        self._next[message.partition()] = message.offset() + 1
        headers = tuple((name, value or b"") for name, value in message.headers() or ())
        return Raw(message.partition(), message.offset(), message.timestamp()[1], headers, message.value())


def open_log(bootstrap: str, topic: str, *, wait_s: float = 0.0) -> TopicLog:
    """Opens a topic, waiting up to ``wait_s`` seconds until it exists. Raises :class:`TopicMissing`."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "client.id": "aiosv3-demo",
            "group.id": "aiosv3-demo-reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "topic.metadata.refresh.interval.ms": 1_000,
            **QUIETLY,
        }
    )
    deadline = time.monotonic() + wait_s
    while (count := _partitions(consumer, topic)) == 0:
        if time.monotonic() >= deadline:
            consumer.close()
            raise TopicMissing(f"there is no topic {topic} on {bootstrap} after {wait_s:g} s")
        consumer.poll(_PAUSE_S)
    return TopicLog(consumer, topic, count)


def _partitions(consumer: Consumer, topic: str) -> int:
    try:
        found = consumer.list_topics(timeout=_TIMEOUT_S).topics.get(topic)
    except KafkaException as error:
        raise TopicMissing(f"the broker cannot be asked for {topic}: {error}") from None
    return 0 if found is None or found.error is not None else len(found.partitions)


class Decoder:
    """Decodes records of one run; schemas come from the project's lock file and its registry."""

    def __init__(self, topics: Topics, run: str, *, lock: Path | None = None, registry: str | None = None) -> None:
        self.run = run
        self._mine = f"{run}."
        self._registry = RegistryClient(registry) if registry else None
        self._store = SchemaStore(lock, self._registry)
        self._codec = Codec(self._store)
        self._schemas = AgentSchemas("licences", LicenceText, Verdict, topics)
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """Ends the registry's client and the loop that it runs on."""
        if self._registry is not None:
            self._runner.run(self._registry.aclose())
        self._runner.close()

    def tasks(self, raws: Iterable[Raw]) -> list[Entry[TaskEvent]]:
        """The tasks of this run, by their headers alone."""
        return [
            Entry(raw.partition, raw.offset, raw.timestamp, _task(raw.header(names.CE_ID), raw))
            for raw in raws
            if raw.header(names.CE_ID).startswith(self._mine)
        ]

    def results(self, raws: Iterable[Raw]) -> list[Entry[Result]]:
        """The results of this run, copies included."""
        return [
            entry
            for raw, value in _valued(raws)
            if (entry := self._entry(raw, self._result(value))).value.task_id.startswith(self._mine)
        ]

    def records(self, kind: type[T], raws: Iterable[Raw]) -> list[Entry[T]]:
        """Records of ``kind`` (Decision, Completion) whose request belongs to this run; markers are passed over."""
        found = [self._entry(raw, self._record(kind, value)) for raw, value in _valued(raws)]
        return [entry for entry in found if str(getattr(entry.value, "request_id", "")).startswith(self._mine)]

    def _entry(self, raw: Raw, value: T) -> Entry[T]:
        return Entry(raw.partition, raw.offset, raw.timestamp, value)

    def _record(self, kind: type[T], value: bytes) -> T:
        try:
            return self._codec.decode_as(kind, value)
        except UnresolvedSchema as error:
            self._runner.run(self._store.resolve(error.schema_id))
            return self._codec.decode_as(kind, value)

    def _result(self, value: bytes) -> Result:
        try:
            return self._schemas.decode_result(self._codec, value)
        except UnresolvedSchema as error:
            self._runner.run(self._store.resolve(error.schema_id))
            return self._schemas.decode_result(self._codec, value)


def _valued(raws: Iterable[Raw]) -> Iterator[tuple[Raw, bytes]]:
    return ((raw, raw.value) for raw in raws if raw.value is not None)


def distribution_of(task_id: str) -> str:
    """The distribution that a task is about: its id is the run, a dot, the name."""
    return task_id.partition(".")[2]


def _task(task_id: str, raw: Raw) -> TaskEvent:
    return TaskEvent(task_id, distribution_of(task_id), raw.header(names.CE_DATACLASSIFICATION))
