"""The group member port on Kafka: this side runs on the loop, :mod:`.consumer` on a thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from confluent_kafka import Consumer

from aiosv3.streams.kafka.client import GroupClient
from aiosv3.streams.kafka.commits import Commits
from aiosv3.streams.kafka.connection import ClientWatch, Connection
from aiosv3.streams.kafka.consumer import GroupConsumer
from aiosv3.streams.kafka.doubt import Doubt, reaches
from aiosv3.streams.kafka.lease import Lease
from aiosv3.streams.kafka.owned import Subscription
from aiosv3.streams.kafka.protocol import CLASSIC_SESSION_MS, GroupProtocol, choose_group_protocol
from aiosv3.streams.log import Committed, Listener

_LOG = logging.getLogger("aiosv3.streams.kafka")
_LEAVE: Final = 20.0


@dataclass(frozen=True, slots=True)
class MemberSettings:
    """``session_ms``: how soon a dead member is noticed. ``instance_id`` makes it static (KIP-345).

    ``max_poll_ms`` is the longest time for which the thread may stand still, and a group may wait for it in a
    rebalance; handlers never hold it, and nothing that it waits for itself is without end.
    """

    session_ms: int = CLASSIC_SESSION_MS
    instance_id: str | None = None
    isolation: str = "read_committed"
    fetch_wait_ms: int = 100
    prefetch_kbytes: int = 8_192
    max_poll_ms: int = 60_000

    def config(self) -> dict[str, str | float | bool]:
        """As keywords of :meth:`Connection.config`."""
        return {
            "enable_auto_commit": False,
            "enable_auto_offset_store": False,
            "auto_offset_reset": "error",
            "isolation_level": self.isolation,
            # A partition that is added or let go again waits until the outstanding fetch has returned.
            "fetch_wait_max_ms": self.fetch_wait_ms,
            "fetch_queue_backoff_ms": 10,
            "queued_min_messages": 10_000,
            "queued_max_messages_kbytes": self.prefetch_kbytes,
            "max_poll_interval_ms": max(self.max_poll_ms, self.session_ms),
            "socket_timeout_ms": 10_000,
        }


class KafkaMember:
    """:class:`aiosv3.streams.log.Member` in one consumer group. Not to be used again after :meth:`leave`."""

    def __init__(
        self,
        connection: Connection,
        group: str,
        input_topic: str,
        journal_topic: str | None = None,
        *,
        protocol: GroupProtocol | None = None,
        settings: MemberSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        consumer_type: Callable[[dict[str, object]], Consumer] = Consumer,
    ) -> None:
        self.connection = connection
        self.protocol = protocol
        self._subscription = Subscription(group, input_topic, journal_topic)
        self._settings = settings or MemberSettings()
        self._clock = clock
        self._consumer_type = consumer_type
        self._consumer: GroupConsumer | None = None

    async def join(self, listener: Listener) -> None:
        """See :meth:`aiosv3.streams.log.Member.join`.

        Raises :class:`BrokerUnavailable` when no broker answers within 10 s, :class:`KafkaRefused`
        for a topic that is not there.
        """
        if self.protocol is None:
            static = self._settings.instance_id is not None
            self.protocol = await choose_group_protocol(self.connection, self._settings.session_ms, static=static)
        group, topic, _ = self._subscription
        settings = self._settings.config() | self.protocol.config(self._settings.instance_id)

        lease = Lease(self.protocol.session_ms / 1_000, self._clock)

        def create() -> GroupClient:
            watch = ClientWatch(self.connection, f"member {group}")
            commits = Commits(topic, lease)
            config = self.connection.config(watch, group_id=group, **settings) | {"on_commit": commits.on_commit}
            return GroupClient(self._consumer_type(config), commits, watch, topic)

        asks = partial(reaches, self.connection, topic, ClientWatch(self.connection, f"probe {group}"))
        doubt = Doubt(asks, lease.session)
        self._consumer = GroupConsumer(create, self._subscription, listener, lease, doubt)
        await self._consumer.start()

    async def commit(self, partition: int, committed: Committed) -> bool:
        """See :meth:`aiosv3.streams.log.Member.commit`."""
        return self._consumer is not None and await self._consumer.commit(partition, committed)

    def flow(self, topic: str, partition: int, *, on: bool) -> None:
        """See :meth:`aiosv3.streams.log.Member.flow`."""
        if self._consumer is not None:
            self._consumer.flow(topic, partition, on=on)

    def restart(self, partition: int) -> None:
        """See :meth:`aiosv3.streams.log.Member.restart`."""
        if self._consumer is not None:
            self._consumer.restart(partition)

    def alive(self) -> bool:
        """See :meth:`aiosv3.streams.log.Member.alive`: proven by commits, renewed by the thread when idle."""
        return self._consumer is not None and self._consumer.alive()

    async def leave(self) -> None:
        """See :meth:`aiosv3.streams.log.Member.leave`. Gives up on a broker that is gone after 20 s."""
        if self._consumer is None:
            return
        self._consumer.leave()
        try:
            async with asyncio.timeout(_LEAVE):
                await self._consumer.ended.wait()
        except TimeoutError:
            _LOG.warning("group %s: no answer within %g s; left without it", self._subscription.group, _LEAVE)
            self._consumer.abandon()
