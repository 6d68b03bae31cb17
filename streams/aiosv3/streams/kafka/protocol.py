"""Which group protocol to use: the broker decides, we ask it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported, but not "as"
    AdminClient,
    ConfigResource,
    ResourceType,
)

from aiosv3.streams.kafka import codes
from aiosv3.streams.kafka.admin import admin_client
from aiosv3.streams.kafka.connection import ClientWatch, Connection, error_of

_TIMEOUT: Final = 10.0
_AGAIN: Final = 0.05
_CHOOSING: Final = "choosing the group protocol"
_PROTOCOLS: Final = "group.coordinator.rebalance.protocols"
_SESSION: Final = "group.consumer.session.timeout.ms"
_LEAST: Final = "group.min.session.timeout.ms"
_MOST: Final = "group.max.session.timeout.ms"
CLASSIC_SESSION_MS: Final = 6_000


@dataclass(frozen=True, slots=True)
class GroupProtocol:
    """``consumer`` is KIP-848; ``classic`` is cooperative-sticky. ``reason`` is for people."""

    name: Literal["consumer", "classic"]
    session_ms: int
    reason: str

    def config(self, instance_id: str | None) -> dict[str, str | float | bool]:
        """As keywords of :meth:`Connection.config`. KIP-848 members take their session from the broker."""
        static: dict[str, str | float | bool] = {"group_instance_id": instance_id} if instance_id else {}
        if self.name == "consumer":
            return {"group_protocol": "consumer", **static}
        return {
            "partition_assignment_strategy": "cooperative-sticky",
            "session_timeout_ms": self.session_ms,
            "heartbeat_interval_ms": max(self.session_ms // 6, 100),
            **static,
        }


async def choose_group_protocol(
    connection: Connection, wanted_session_ms: int = CLASSIC_SESSION_MS, *, static: bool = False
) -> GroupProtocol:
    """KIP-848 where the broker has it with a session of at most ``wanted_session_ms``, else classic.

    A dead member is noticed after one session: KIP-848 takes that time from the broker (45 s by default). A ``static``
    one is classic: it is let in again at once, while KIP-848 keeps a name from its next holder for that session. Both
    kinds may be in one group.
    """
    settings = await asyncio.to_thread(_broker_settings, connection)
    return decide(settings, wanted_session_ms, static=static)


def decide(settings: Mapping[str, str], wanted_session_ms: int, *, static: bool = False) -> GroupProtocol:
    """The choice, from the settings of a broker (empty where it does not show them)."""
    session = int(settings.get(_SESSION, "0"))
    protocols = [name.strip() for name in settings.get(_PROTOCOLS, "").split(",")]
    enabled = session > 0 and "consumer" in protocols
    if enabled and session <= wanted_session_ms and not static:
        return GroupProtocol("consumer", session, f"KIP-848: the broker's {_SESSION} is {session}")
    least, most = int(settings.get(_LEAST, "0")), int(settings.get(_MOST, "1800000"))
    classic = min(max(wanted_session_ms, least), most)
    if static:
        why = "a static member, which is let in again at once when it was killed"
    elif enabled:
        why = f"the broker's {_SESSION} is {session}, over {wanted_session_ms}: lower it to use KIP-848"
    elif session:
        why = f"{_PROTOCOLS} of the broker does not hold 'consumer'"
    else:
        why = "the broker shows no group settings: older than 4.0, or DescribeConfigs is not granted"
    return GroupProtocol("classic", classic, f"cooperative-sticky: {why}")


def _broker_settings(connection: Connection) -> dict[str, str]:
    watch = ClientWatch(connection, f"admin {connection.client_id}")
    client = admin_client(connection, watch)
    return _described(client, _some_broker(client, watch))


def _some_broker(client: AdminClient, watch: ClientWatch) -> int:
    """The id of one. A broker that has just come up may answer before it names any, itself included."""
    by = time.monotonic() + _TIMEOUT
    while True:
        try:
            brokers = client.list_topics(timeout=_TIMEOUT).brokers
        except KafkaException as failure:
            client.poll(0)
            raise watch.failure(error_of(failure), _CHOOSING) from failure
        if brokers:
            return next(iter(brokers))
        if time.monotonic() >= by:
            raise watch.failure(KafkaError(codes.TIMED_OUT, "it names no broker"), _CHOOSING)
        time.sleep(_AGAIN)


def _described(client: AdminClient, broker: int) -> dict[str, str]:
    resource = ConfigResource(ResourceType.BROKER, str(broker))
    future = client.describe_configs([resource], request_timeout=_TIMEOUT)[resource]
    try:
        entries = future.result(_TIMEOUT)
    except KafkaException:  # not granted: the choice says so
        return {}
    return {name: entry.value or "" for name, entry in entries.items()}
