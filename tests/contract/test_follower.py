"""What every follower does, on the double and on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from aiosv3.streams.errors import DataLost
from aiosv3.streams.following import Follower, PollingFollower
from aiosv3.streams.kafka import Connection
from aiosv3.streams.kafka.follower import KafkaFollower
from aiosv3.streams.log import Record

DEADLINE = 40.0


@pytest.fixture
async def follower(world: Any, request: pytest.FixtureRequest) -> AsyncIterator[Follower]:
    if "kafka" in request.node.name:
        made: Follower = KafkaFollower(Connection(request.getfixturevalue("kafka")))
    else:
        made = PollingFollower(world.log, 0.002)
    yield made
    async with asyncio.timeout(DEADLINE):
        await made.close()


class Following:
    """Reads in the background."""

    def __init__(self, batches: AsyncIterator[Sequence[Record]]) -> None:
        self.offsets: list[int] = []
        self.error: Exception | None = None
        self._more = asyncio.Event()
        self.task = asyncio.create_task(self._read(batches))

    async def _read(self, batches: Any) -> None:
        try:
            async with aclosing(batches):
                async for batch in batches:
                    self.offsets += [record.offset for record in batch]
                    self._more.set()
        except Exception as error:  # noqa: BLE001 -- the test looks at it
            self.error = error
        self._more.set()

    async def until(self, count: int) -> list[int]:
        async with asyncio.timeout(DEADLINE):
            while len(self.offsets) < count and self.error is None:
                self._more.clear()
                await self._more.wait()
        return self.offsets

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def test_what_is_there_and_what_comes_in_order(world: Any, follower: Follower) -> None:
    topic, other = world.topic("notes", 2), world.topic("more")
    for _ in range(3):
        await world.append(topic)
    first = Following(follower.follow(topic, 0, 1))
    assert await first.until(2) == [1, 2]
    second, third = Following(follower.follow(topic, 1, 0)), Following(follower.follow(other, 0, 0))
    await world.append(topic)
    await world.append(topic, partition=1)
    await world.append(other)
    assert (await first.until(3), await second.until(1), await third.until(1)) == ([1, 2, 3], [0], [0])
    await first.stop()
    await world.append(topic)
    again = Following(follower.follow(topic, 0, 3))
    assert await again.until(2) == [3, 4]
    assert first.offsets == [1, 2, 3]
    for one in (second, third, again):
        await one.stop()


async def test_many_records_at_once(world: Any, follower: Follower) -> None:
    topic = world.topic("notes")
    following = Following(follower.follow(topic, 0, 0))
    await asyncio.gather(*(world.append(topic) for _ in range(3_000)))
    assert await following.until(3_000) == list(range(3_000))
    await following.stop()


async def test_a_start_that_is_gone_is_data_loss(world: Any, follower: Follower) -> None:
    topic = world.topic("notes")
    for _ in range(3):
        await world.append(topic)
    await world.log.truncate(topic, 0, 2)
    following = Following(follower.follow(topic, 0, 0))
    await following.until(1)
    assert isinstance(following.error, DataLost)
    assert (following.error.needed, following.error.start) == (0, 2)
    again = Following(follower.follow(topic, 0, 2))
    assert await again.until(1) == [2]
    await again.stop()


async def test_closing_ends_what_is_followed(world: Any, follower: Follower) -> None:
    topic = world.topic("notes")
    await world.append(topic)
    following = Following(follower.follow(topic, 0, 0))
    await following.until(1)
    await follower.close()
    async with asyncio.timeout(DEADLINE):
        await asyncio.wait([following.task])
    assert following.error is None
