"""What a client stands on: a log to append to and read from, a follower, and how values are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiosv3.agents.client.errors import NoSuchAgent, NoSuchPartition
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.following import Follower
from aiosv3.streams.log import Log

if TYPE_CHECKING:
    from aiosv3.schemas.registry import RegistryAccess, RegistryClient
    from aiosv3.streams.keys import KeyRing

_FIRST_ANSWER_S: Final = 6.0
"""A broker that is not there is said within so many seconds."""


@dataclass(frozen=True)
class Link:
    """``counts(topic)``: its partitions, 0 where there is no such topic. ``where``: the broker, for words.

    ``lone``: no registry numbers the schemas, so those of an agent whose code is here get the numbers that its worker
    gives them.
    """

    log: Log
    follower: Follower
    codec: Codec
    topics: Topics
    counts: Callable[[str], Awaitable[int]]
    where: str
    lone: bool = False
    ring: KeyRing | None = None
    """Opens what is sealed; None: sealed results raise ``ResultUnreadable``."""
    _known: dict[str, int] = field(default_factory=dict, repr=False)
    _asking: dict[str, asyncio.Lock] = field(default_factory=dict, repr=False)

    @property
    def store(self) -> SchemaStore:
        """The schemas that are known here."""
        return self.codec.store

    async def partitions(self, topic: str) -> int:
        """How many a topic has; asked once, a count never changes. 0 is asked again: it may come to be."""
        async with self._asking.setdefault(topic, asyncio.Lock()):
            known = self._known.get(topic, 0)
            if not known:
                known = self._known[topic] = await self.counts(topic)
        return known

    async def agent_partitions(self, agent: str) -> int:
        """Partitions of an agent's topics. Raises :class:`NoSuchAgent`."""
        topic = self.topics.tasks(agent)
        count = await self.partitions(topic)
        if not count:
            raise NoSuchAgent(agent, topic, self.where)
        return count

    async def check(self, agent: str, partition: int) -> None:
        """Raises :class:`NoSuchAgent`, :class:`NoSuchPartition`."""
        count = await self.agent_partitions(agent)
        if partition >= count:
            raise NoSuchPartition(self.topics.tasks(agent), count, partition)


@dataclass(frozen=True)
class Address:
    """Where a mesh is. ``security`` goes to librdkafka as it is (``sasl.*``, ``ssl.*``).

    ``registry``: URL of a schema registry, ``access``: how to get in. Without one only results of agents whose code is
    here can be read.
    """

    bootstrap: str
    registry: str | None = None
    prefix: str = "aios."
    access: RegistryAccess | None = None
    security: Mapping[str, str] = field(default_factory=dict, repr=False)
    client_id: str = "aiosv3-client"


@asynccontextmanager
async def linked(address: Address) -> AsyncIterator[Link]:
    """Connects. Raises ``BrokerUnavailable`` after at most six seconds; the registry is asked when it is needed."""
    from aiosv3.streams.kafka import Connection, KafkaLog
    from aiosv3.streams.kafka.admin import topic_counts
    from aiosv3.streams.kafka.follower import KafkaFollower

    connection = Connection(address.bootstrap, client_id=address.client_id, security=address.security)
    topics, registry = Topics(address.prefix), _registry(address)

    async def counts(topic: str) -> int:
        return (await topic_counts(connection, [topic])).get(topic, 0)

    log, follower = KafkaLog(connection), KafkaFollower(connection)
    codec = Codec(SchemaStore(None, registry))
    try:
        await log.start(_FIRST_ANSWER_S)
        yield Link(log, follower, codec, topics, counts, address.bootstrap, lone=registry is None)
    finally:
        await follower.close()
        await log.close()
        if registry is not None:
            await registry.aclose()


def _registry(address: Address) -> RegistryClient | None:
    if address.registry is None:
        return None
    from aiosv3.schemas.registry import RegistryClient

    return RegistryClient(address.registry, address.access)
