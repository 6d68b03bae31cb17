"""The broker: whether it answers, what it is, and two of its settings that bite later."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding
from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.kafka import AuthenticationFailed, BrokerFacts

NAME = "broker"
_CONNECT_S: Final = 1.0
_OTHER: Final = (
    "something listens there, but does not speak Kafka as it is asked to: check the port, and security.protocol in "
    "[kafka] properties"
)


async def check(case: Case) -> Sequence[Finding]:
    """Asks for its topics and its settings."""
    address = case.settings.kafka.bootstrap
    if not address:
        message = "none is configured and none is up here, so nothing about Kafka was checked"
        action = "'aiosv3 up' starts one on this machine; [kafka] bootstrap in aiosv3.toml names your own"
        return [Finding.warning(NAME, message, action)]
    try:
        return judged(address, (await case.broker()).facts)
    except AuthenticationFailed:
        raise
    except BrokerUnavailable as error:
        return [Finding.failed(NAME, str(error), _OTHER if await _listens(address) else None)]


async def _listens(address: str) -> bool:
    """Whether anything takes a connection at the first of the addresses."""
    host, _, port = address.partition(",")[0].rpartition("://")[2].strip().rpartition(":")
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, ValueError, TimeoutError):
        return False
    writer.close()
    return True


def judged(address: str, facts: BrokerFacts) -> list[Finding]:
    """What its settings say."""
    many = f"{facts.brokers} broker{'s' if facts.brokers != 1 else ''}"
    settings = facts.settings
    if not settings:
        message = f"{address} answers ({many}), but does not show its settings"
        return [Finding.warning(NAME, message, "grant DescribeConfigs on the cluster, so that they can be checked")]
    found = [Finding.ok(NAME, f"{address} answers: {release(settings)}, {many}")]
    if settings.get("auto.create.topics.enable") == "true":
        message = (
            "auto.create.topics.enable is on: a producer that comes before the workers makes topics with "
            f"{settings.get('num.partitions', '1')} partitions, and a count never changes"
        )
        found.append(Finding.warning(NAME, message, "set it to false, or start the workers first"))
    if facts.brokers > 1 and settings.get("default.replication.factor") == "1":
        message = "default.replication.factor is 1: each new topic is on one broker alone, and is lost with its disk"
        found.append(Finding.warning(NAME, message, "set it to 3, and min.insync.replicas to 2"))
    return found


def release(settings: Mapping[str, str]) -> str:
    """The release as far as it shows: Kafka tells it up to 3.9; from 4.0 on by the settings that it has."""
    told = settings.get("inter.broker.protocol.version", "")
    if told:
        return f"Kafka {told.partition('-')[0]}"
    for name, first in (("group.streams.session.timeout.ms", "4.1"), ("group.consumer.session.timeout.ms", "4.0")):
        if name in settings:
            return f"Kafka {first} or newer"
    return "a broker of unknown release"
