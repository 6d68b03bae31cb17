"""Following on a log that can only be asked; tests/contract/test_follower.py has what all followers do."""

from __future__ import annotations

import asyncio
from typing import Any

from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.following import PollingFollower
from aiosv3.streams.log import Bounds, Outgoing
from aiosv3.streams.testing import MemoryBroker, MemoryLog


class Shaky(MemoryLog):
    """A broker that does not answer every second question."""

    asked = 0

    async def bounds(self, topic: str, partition: int) -> Bounds:
        self.asked += 1
        if self.asked % 2:
            raise BrokerUnavailable("away")
        return await super().bounds(topic, partition)


async def test_a_broker_that_does_not_answer_is_asked_again() -> None:
    broker = MemoryBroker()
    broker.create_topic("t", 1)
    follower = PollingFollower(Shaky(broker, "here"), 0.001)
    broker.append(Outgoing("t", 0, None, b"a", []))
    found: list[Any] = []
    async with asyncio.timeout(30):
        async for batch in follower.follow("t", 0, 0):
            found += [record.value for record in batch]
            if len(found) == 1:
                broker.append(Outgoing("t", 0, None, b"b", []))
            else:
                await follower.close()
    assert found == [b"a", b"b"]
