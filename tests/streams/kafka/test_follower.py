"""Following on a real broker: what it does beyond the contract (tests/contract/test_follower.py)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from confluent_kafka import Producer

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


async def test_what_nobody_takes_is_fetched_later(kafka: str, kafka_topics: Any) -> None:
    """However long a partition is, a part of it is held at most; and all of it comes, in order, once it is taken."""
    topic, count, hold = kafka_topics.create("long", 1), 3000, 50_000
    producer = Producer({"bootstrap.servers": kafka})
    for number in range(count):
        producer.produce(topic, value=b"%04d" % number * 250, partition=0)
    producer.flush(30)
    follower = KafkaFollower(Connection(kafka), hold)
    batches = follower.follow(topic, 0, 0)
    async with asyncio.timeout(60):
        held = list(await anext(batches))
        stream = follower._followed[topic, 0]
        while not stream.paused:
            await asyncio.sleep(0.01)
        most = stream.waiting
        while len(held) < count:
            held += await anext(batches)
    assert most <= hold + 1000 * 1500, "one fetch more than it may hold"
    assert [int((record.value or b"")[:4]) for record in held] == list(range(count))
    await follower.close()
