"""Following on a real broker: what it does beyond the contract (tests/contract/test_follower.py)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiosv3.streams.kafka import Connection
from aiosv3.streams.kafka.follower import KafkaFollower

pytestmark = pytest.mark.kafka


async def _first(follower: KafkaFollower, topic: str) -> Any:
    return await anext(follower.follow(topic, 0, 0), "ended")


async def test_a_partition_has_one_who_follows(kafka: str, kafka_topics: Any) -> None:
    topic = kafka_topics.create("notes", 1)
    follower = KafkaFollower(Connection(kafka))
    first = asyncio.create_task(_first(follower, topic))
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="is followed already"):
        await anext(follower.follow(topic, 0, 0))
    await follower.close()
    assert await first == "ended"
    assert [batch async for batch in follower.follow(topic, 0, 0)] == [], "it is closed"


async def test_nothing_is_started_before_something_is_followed(kafka: str) -> None:
    follower = KafkaFollower(Connection(kafka))
    await follower.close()
    assert follower._thread is None
