"""What is asked of the broker once, and what is asked again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from aiosv3.agents.client import link as links
from aiosv3.agents.client.errors import NoSuchAgent, NoSuchPartition
from aiosv3.agents.client.link import Address, linked
from aiosv3.agents.client.link import _registry as registry_of
from aiosv3.streams.errors import BrokerUnavailable


async def test_counts_are_asked_once_and_absence_again(office: Any) -> None:
    asked: list[str] = []
    link = office.link()

    async def counts(topic: str) -> int:
        asked.append(topic)
        return int(await link.counts(topic))

    counting = replace(link, counts=counts, _known={}, _asking={})
    for _ in range(2):
        with pytest.raises(NoSuchAgent):
            await counting.agent_partitions("a")
    office.create_topics("a")
    assert await asyncio.gather(*(counting.agent_partitions("a") for _ in range(3))) == [3, 3, 3]
    assert asked == ["aios.tasks.a"] * 3
    await counting.check("a", 2)
    with pytest.raises(NoSuchPartition, match=r"aios.tasks.a has 3 partitions, so there is no 3"):
        await counting.check("a", 3)


async def test_a_broker_that_is_not_there_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_FIRST_ANSWER_S", 0.3)
    with pytest.raises(BrokerUnavailable, match=r"no Kafka broker answered at 127\.0\.0\.1:9"):
        async with linked(Address("127.0.0.1:9", registry="http://127.0.0.1:9")):
            raise AssertionError


async def test_security_is_not_in_the_repr() -> None:
    address = Address("b:1", security={"sasl.password": "secret"})
    assert "secret" not in repr(address)
    assert registry_of(address) is None
