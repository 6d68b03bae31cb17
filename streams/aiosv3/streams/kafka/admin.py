"""Topics: creating the missing ones, refusing the wrong ones, saying what is there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported, but not "as"
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from aiosv3.streams.errors import PartitionMismatch
from aiosv3.streams.kafka import codes
from aiosv3.streams.kafka.connection import ClientWatch, Connection, error_of
from aiosv3.streams.log import Committed

_T = TypeVar("_T")
_TIMEOUT: Final = 10.0
_AGAIN: Final = 0.02
_TRIES: Final = 250
_TIME: Final = "message.timestamp.type"
_APPEND_TIME: Final = "LogAppendTime"

Cleanup: TypeAlias = Literal["delete", "compact", "keep"]


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it must be. ``cleanup``: ``keep`` deletes nothing by time or size (journals: the owner
    truncates). ``append_time`` asks for ``LogAppendTime`` (protocol rule 13). ``config``: further settings of
    a new topic. Replication is the broker's default.
    """

    name: str
    partitions: int
    cleanup: Cleanup = "delete"
    config: Mapping[str, str] = field(default_factory=dict)
    append_time: bool = True

    def settings(self) -> dict[str, str]:
        """The configuration of a new topic."""
        policy = "compact" if self.cleanup == "compact" else "delete"
        settings = {"cleanup.policy": policy}
        if self.cleanup == "keep":
            settings |= {"retention.ms": "-1", "retention.bytes": "-1"}
        if self.append_time:
            settings[_TIME] = _APPEND_TIME
        return settings | dict(self.config)


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """A topic as it is. ``config`` holds all of its settings, defaults too."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


def admin_client(connection: Connection, watch: ClientWatch) -> AdminClient:
    """An admin client that reports to ``watch``."""
    return AdminClient(connection.config(watch, socket_timeout_ms=10_000))


class _Admin:
    """One short conversation with the cluster; failures come out in words."""

    def __init__(self, connection: Connection) -> None:
        self._watch = ClientWatch(connection, f"admin {connection.client_id}")
        self._client = admin_client(connection, self._watch)

    async def counts(self, names: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Partitions and replicas of those topics that exist."""
        listed = await self._blocking(self._client.list_topics)
        return {
            name: (
                len(topic.partitions),
                max((len(p.replicas) for p in topic.partitions.values()), default=0),
            )
            for name in names
            if (topic := listed.topics.get(name)) is not None and topic.partitions
        }

    async def create(self, specs: Sequence[TopicSpec]) -> None:
        """Creates; a topic that another process created meanwhile is no error."""
        topics = [NewTopic(spec.name, spec.partitions, -1, config=spec.settings()) for spec in specs]
        futures = self._client.create_topics(topics, operation_timeout=_TIMEOUT, request_timeout=_TIMEOUT)
        for name, future in futures.items():
            await self.result(future, f"creating topic {name}", codes.ALREADY_EXISTS)

    async def configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """All settings of existing topics."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        found: dict[str, dict[str, str]] = {}
        if resources:
            for resource, future in self._client.describe_configs(resources, request_timeout=_TIMEOUT).items():
                entries = await self.result(future, f"reading the settings of {resource.name}")
                found[resource.name] = {name: entry.value or "" for name, entry in (entries or {}).items()}
        return found

    async def use_append_time(self, names: Sequence[str]) -> None:
        """Sets ``LogAppendTime``."""
        entry = ConfigEntry(_TIME, _APPEND_TIME, incremental_operation=AlterConfigOpType.SET)
        resources = [ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry]) for name in names]
        if resources:
            altered = self._client.incremental_alter_configs(resources, request_timeout=_TIMEOUT)
            for resource, future in altered.items():
                await self.result(future, f"setting {_TIME} of {resource.name}")

    async def committed(self, group: str, topic: str) -> dict[int, Committed]:
        """What a group has committed for the partitions of a topic; none for a group that there is not."""
        whole = ConsumerGroupTopicPartitions(group)
        asked = self._client.list_consumer_group_offsets([whole], request_timeout=_TIMEOUT)
        found = await self.result(asked[group], f"reading the offsets of group {group}", codes.NO_SUCH_GROUP)
        return {
            place.partition: Committed(place.offset, place.metadata or "")
            for place in (found.topic_partitions if found is not None else ())
            if place.topic == topic and place.offset >= 0
        }

    async def result(self, future: Future[_T], doing: str, *allowed: int) -> _T | None:
        """What ``future`` gives; None where it fails with an ``allowed`` code."""
        try:
            return await asyncio.wrap_future(future)
        except KafkaException as failure:
            error = error_of(failure)
            if error.code() in allowed:
                return None
            raise self._watch.failure(error, doing) from failure

    async def _blocking(self, call: Any) -> Any:
        try:
            return await asyncio.to_thread(call, timeout=_TIMEOUT)
        except KafkaException as failure:
            await asyncio.to_thread(self._client.poll, 0)
            raise self._watch.failure(error_of(failure), "asking for topics") from failure


async def ensure_topics(connection: Connection, specs: Sequence[TopicSpec]) -> None:
    """Creates what is missing; any number of processes may do so at once.

    Raises :class:`PartitionMismatch` where a topic exists with another count: counts never change, as the
    place of every key depends on them (protocol section 9). Sets ``LogAppendTime`` where a spec asks for it.
    """
    admin = _Admin(connection)
    wanted = {spec.name: spec for spec in specs}
    there = await admin.counts(wanted)
    missing = [spec for name, spec in wanted.items() if name not in there]
    if missing:
        await admin.create(missing)
        there = await _until_there(admin, wanted)
    wrong = [
        f"{name} has {there[name][0]} partitions, not {spec.partitions}"
        for name, spec in wanted.items()
        if name in there and there[name][0] != spec.partitions
    ]
    if wrong:
        raise PartitionMismatch(
            "; ".join(wrong) + ". A count never changes: set the old count, or use new names (a generation)"
        )
    existing = [name for name, spec in wanted.items() if spec.append_time and spec not in missing]
    settings = await admin.configs(existing)
    await admin.use_append_time([n for n in existing if settings[n].get(_TIME) != _APPEND_TIME])


async def _until_there(admin: _Admin, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """A topic just created may take a moment to reach the broker that is asked."""
    wanted = list(names)
    there: dict[str, tuple[int, int]] = {}
    for _ in range(_TRIES):
        there = await admin.counts(wanted)
        if len(there) == len(wanted):
            break
        await asyncio.sleep(_AGAIN)
    return there


async def topic_counts(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """Partition counts of those topics that exist."""
    return {name: count for name, (count, _) in (await _Admin(connection).counts(names)).items()}


async def committed_offsets(connection: Connection, group: str, topic: str) -> dict[int, Committed]:
    """What a group has committed, by partition; asked of the broker without joining the group."""
    return await _Admin(connection).committed(group, topic)


async def describe(connection: Connection, names: Iterable[str]) -> dict[str, TopicDescription]:
    """Partitions, replicas and settings of those topics that exist."""
    admin = _Admin(connection)
    there = await admin.counts(names)
    configs = await admin.configs(list(there))
    return {name: TopicDescription(name, count, replicas, configs[name]) for name, (count, replicas) in there.items()}
