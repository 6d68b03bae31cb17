"""A cluster at a glance, for people: its broker's settings, topics, offsets and groups, in few requests.

What workers do goes through :class:`~aiosv3.streams.kafka.log.KafkaLog`; here one question is put for many partitions
at once, and nothing is read or written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported, but not "as"
    AdminClient,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.kafka import codes
from aiosv3.streams.kafka.admin import admin_client
from aiosv3.streams.kafka.connection import ClientWatch, Connection, error_of
from aiosv3.streams.log import Bounds, Committed

_T = TypeVar("_T")
_TIMEOUT: Final = 5.0
_NO_RECORD: Final = -1
_EARLIEST: Final[OffsetSpec] = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: Final[OffsetSpec] = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_NEWEST: Final[OffsetSpec] = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]

Partitions = Mapping[str, int]
"""Topic -> number of partitions."""
Place = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """``settings``: of one of the brokers, empty where it does not show them to us."""

    brokers: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One process in a group; ``partitions`` are those of all topics that it has."""

    client: str
    host: str
    partitions: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A group as its coordinator sees it. ``state``: ``stable``, ``empty``, ``dead``, ``rebalancing`` and so on."""

    state: str
    protocol: str
    members: tuple[GroupMember, ...]


class Overview:
    """Each method is one or two requests, and raises :class:`BrokerUnavailable` or :class:`KafkaRefused`.

    ``timeout`` is in seconds, for each request.
    """

    def __init__(self, connection: Connection, timeout: float = _TIMEOUT) -> None:
        self._watch = ClientWatch(connection, f"admin {connection.client_id}")
        self._timeout = timeout
        self._client: AdminClient = admin_client(connection, self._watch)

    async def topics(self, prefix: str = "") -> dict[str, int]:
        """The topics whose name begins with ``prefix``, with their partition counts; Kafka's own are left out."""
        listed = (await self._listed()).topics
        return {
            name: len(topic.partitions)
            for name, topic in sorted(listed.items())
            if name.startswith(prefix) and not name.startswith("__") and topic.partitions
        }

    async def broker(self) -> BrokerFacts:
        """How many brokers there are, and how one of them is set."""
        brokers = sorted((await self._listed()).brokers)
        resource = ConfigResource(ResourceType.BROKER, str(brokers[0]))
        asked = self._ask(lambda: self._client.describe_configs([resource], request_timeout=self._timeout))
        try:
            entries = await asyncio.wrap_future(asked[resource])
        except KafkaException:  # not granted: whoever shows the facts says so
            entries = {}
        return BrokerFacts(len(brokers), {name: entry.value or "" for name, entry in entries.items()})

    async def configs(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        """All settings of existing topics."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
        if not resources:
            return {}
        asked = self._ask(lambda: self._client.describe_configs(resources, request_timeout=self._timeout))
        found = await self._all(asked, "reading the settings of topics")
        return {place.name: {name: e.value or "" for name, e in entries.items()} for place, entries in found.items()}

    async def bounds(self, counts: Partitions) -> dict[Place, Bounds]:
        """Start and end of every partition."""
        starts, ends = await asyncio.gather(self._offsets(counts, _EARLIEST), self._offsets(counts, _LATEST))
        return {place: Bounds(starts[place], end) for place, end in ends.items()}

    async def offsets_at(self, counts: Partitions, timestamp: int) -> dict[Place, int]:
        """The first offset of every partition whose broker time is ``>= timestamp`` (ms), or its end.

        The ends are asked first: a record that comes between the two questions is not passed over.
        """
        ends = await self._offsets(counts, _LATEST)
        found = await self._offsets(counts, OffsetSpec.for_timestamp(max(0, timestamp)))
        return {place: ends[place] if offset == _NO_RECORD else offset for place, offset in found.items()}

    async def newest(self, counts: Partitions) -> dict[str, int]:
        """By topic the broker time (ms) of its newest record; an empty topic is left out."""
        found: dict[str, int] = {}
        for (topic, _), time in (await self._listed_offsets(counts, _NEWEST, lambda info: int(info.timestamp))).items():
            found[topic] = max(time, found.get(topic, _NO_RECORD))
        return {topic: time for topic, time in found.items() if time >= 0}

    async def groups(self, names: Iterable[str]) -> dict[str, Group]:
        """The groups of these names; one that there is not is ``dead``, without members."""
        wanted = list(names)
        if not wanted:
            return {}
        asked = self._ask(lambda: self._client.describe_consumer_groups(wanted, request_timeout=self._timeout))
        found = await self._all(asked, "asking for groups", codes.NO_SUCH_GROUP)
        return {name: _group(found.get(name)) for name in wanted}

    async def committed(self, group: str, topic: str) -> dict[int, Committed]:
        """What a group has committed for the partitions of a topic."""
        whole = ConsumerGroupTopicPartitions(group)
        asked = self._ask(lambda: self._client.list_consumer_group_offsets([whole], request_timeout=self._timeout))
        found = (await self._all(asked, f"reading the offsets of group {group}", codes.NO_SUCH_GROUP)).get(group)
        return {
            place.partition: Committed(place.offset, place.metadata or "")
            for place in (found.topic_partitions if found is not None else ())
            if place.topic == topic and place.offset >= 0
        }

    async def _listed(self) -> Any:
        try:
            return await asyncio.to_thread(self._client.list_topics, timeout=self._timeout)
        except KafkaException as failure:
            await asyncio.to_thread(self._client.poll, 0)  # lets the client tell why
            raise self._watch.failure(error_of(failure), "asking for topics") from failure

    async def _offsets(self, counts: Partitions, spec: OffsetSpec) -> dict[Place, int]:
        return await self._listed_offsets(counts, spec, lambda info: int(info.offset))

    async def _listed_offsets(
        self, counts: Partitions, spec: OffsetSpec, read: Callable[[Any], int]
    ) -> dict[Place, int]:
        asked = {TopicPartition(name, number): spec for name, count in counts.items() for number in range(count)}
        if not asked:
            return {}
        futures = self._ask(lambda: self._client.list_offsets(asked, request_timeout=self._timeout))
        found = await self._all(futures, "asking for offsets")
        return {(place.topic, place.partition): read(info) for place, info in found.items()}

    def _ask(self, call: Callable[[], Any]) -> Any:
        """Starts a request. What the client refuses at once comes out in words too."""
        try:
            return call()
        except KafkaException as failure:
            raise self._watch.failure(error_of(failure), "asking") from failure

    async def _all(self, futures: Mapping[Any, Future[_T]], doing: str, *allowed: int) -> dict[Any, _T]:
        """The answers by what was asked; those that failed with an ``allowed`` code are left out."""
        answers = await asyncio.gather(*map(asyncio.wrap_future, futures.values()), return_exceptions=True)
        found: dict[Any, _T] = {}
        for asked, answer in zip(futures, answers, strict=True):
            if isinstance(answer, KafkaException):
                error = error_of(answer)
                if error.code() not in allowed:
                    raise self._failure(answer, doing)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found[asked] = answer
        return found

    def _failure(self, failure: KafkaException, doing: str) -> AiosError:
        return self._watch.failure(error_of(failure), doing)


def _group(found: Any) -> Group:
    if found is None:
        return Group("dead", "", ())
    members = tuple(
        GroupMember(
            member.client_id,
            member.host.removeprefix("/"),
            tuple(sorted((place.topic, place.partition) for place in member.assignment.topic_partitions)),
        )
        for member in found.members
    )
    state, protocol = found.state.name.lower(), found.type.name.lower()
    if (state, protocol) == ("unknown", "consumer"):
        state = "rebalancing"  # KIP-848 says assigning or reconciling, for which the client has no names
    return Group(state, protocol, members)
