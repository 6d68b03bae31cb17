"""What appending and reading promise, on the double and on Kafka."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from aiosv3.streams.errors import AppendFailed, DataLost, RecordTooLarge
from aiosv3.streams.log import Bounds, Outgoing

if TYPE_CHECKING:
    from tests.contract.conftest import World

JAVA_MURMUR2 = {  # from Kafka's UtilsTest
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


def numbered(topic: str, count: int) -> list[Outgoing]:
    return [Outgoing(topic, 0, None, str(i).encode(), []) for i in range(count)]


async def test_appends_keep_their_order_and_offsets_have_no_holes(world: World) -> None:
    topic = world.topic("order")
    acks = await world.append_all(numbered(topic, 1000))
    assert [ack.offset for ack in acks] == list(range(1000))
    assert {ack.partition for ack in acks} == {0}
    records = await world.read(topic, 0, 1000)
    assert [record.value for record in records] == [str(i).encode() for i in range(1000)]
    assert [record.offset for record in records] == list(range(1000))


async def test_an_acknowledgement_says_where_and_when(world: World) -> None:
    topic = world.topic("where", 3)
    first = await world.append(topic, partition=2)
    second = await world.append(topic, partition=2)
    assert (first.partition, first.offset) == (2, 0)
    assert (second.partition, second.offset) == (2, 1)
    record = (await world.read(topic, 0, 1, partition=2))[0]
    assert (record.topic, record.partition, record.offset) == (topic, 2, 0)
    assert record.timestamp == first.timestamp
    assert 0 <= second.timestamp - first.timestamp < 60_000


async def test_a_key_goes_where_java_sends_it(world: World) -> None:
    topic = world.topic("keys", 7)
    for key, hashed in JAVA_MURMUR2.items():
        ack = await world.append(topic, partition=None, key=key)
        assert ack.partition == (hashed & 0x7FFFFFFF) % 7, key


async def test_without_a_key_any_partition_will_do(world: World) -> None:
    topic = world.topic("keyless", 3)
    ack = await world.append(topic, partition=None)
    assert ack.partition in range(3)


@pytest.mark.parametrize("key", [None, b"", b"key", b"\x00\xff"])
@pytest.mark.parametrize("value", [None, b"", b"value"])
async def test_null_and_empty_are_not_the_same(world: World, key: bytes | None, value: bytes | None) -> None:
    topic = world.topic("nulls")
    await world.append(topic, value, key=key)
    record = (await world.read(topic, 0, 1))[0]
    assert (record.key, record.value) == (key, value)


async def test_headers_keep_order_and_duplicates(world: World) -> None:
    topic = world.topic("headers")
    headers = [("b", b"1"), ("a", b""), ("b", b"2"), ("ü", b"\x00\xff")]
    await world.append(topic, headers=headers)
    await world.append(topic)
    record, bare = await world.read(topic, 0, 2)
    assert record.headers == headers
    assert record.header("b") == b"2"
    assert record.header("c") is None
    assert bare.headers == []


async def test_reads_any_range_and_no_more(world: World) -> None:
    topic = world.topic("range")
    await world.append_all(numbered(topic, 50))
    assert [record.offset for record in await world.read(topic, 10, 20)] == list(range(10, 20))
    assert [record.offset for record in await world.read(topic, 49, 50)] == [49]
    assert await world.read(topic, 20, 20) == []
    assert await world.read(topic, 50, 50) == []


async def test_reads_inside_reads(world: World) -> None:
    topic = world.topic("nested")
    await world.append_all(numbered(topic, 20))
    seen = []
    async for batch in world.log.read(topic, 0, 0, 20):
        for record in batch:
            inner = await world.read(topic, record.offset, record.offset + 1)
            seen.append(inner[0].offset)
    assert seen == list(range(20))


async def test_bounds(world: World) -> None:
    topic = world.topic("bounds", 2)
    assert await world.log.bounds(topic, 0) == Bounds(0, 0)
    await world.append_all(numbered(topic, 3))
    assert await world.log.bounds(topic, 0) == Bounds(0, 3)
    assert await world.log.bounds(topic, 1) == Bounds(0, 0)


async def test_offset_at_finds_the_first_record_of_a_time(world: World) -> None:
    topic = world.topic("times")
    assert await world.log.offset_at(topic, 0, 0) == 0
    acks = [await world.append(topic)]
    while acks[-1].timestamp == acks[0].timestamp:
        acks.append(await world.append(topic))
    later = acks[-1]
    assert await world.log.offset_at(topic, 0, 0) == 0
    assert await world.log.offset_at(topic, 0, acks[0].timestamp) == 0
    assert await world.log.offset_at(topic, 0, later.timestamp) == later.offset
    assert await world.log.offset_at(topic, 0, later.timestamp + 1_000_000) == later.offset + 1


async def test_what_was_truncated_is_lost_and_says_so(world: World) -> None:
    topic = world.topic("truncate")
    await world.append_all(numbered(topic, 10))
    await world.log.truncate(topic, 0, 5)
    assert await world.log.bounds(topic, 0) == Bounds(5, 10)
    await world.log.truncate(topic, 0, 3)
    assert await world.log.bounds(topic, 0) == Bounds(5, 10)
    with pytest.raises(DataLost) as caught:
        await world.read(topic, 4, 10)
    assert (caught.value.topic, caught.value.partition) == (topic, 0)
    assert (caught.value.needed, caught.value.start) == (4, 5)
    assert [record.offset for record in await world.read(topic, 5, 10)] == list(range(5, 10))
    assert await world.log.offset_at(topic, 0, 0) == 5
    assert (await world.append(topic)).offset == 10


async def test_truncate_everything(world: World) -> None:
    topic = world.topic("empty")
    await world.append_all(numbered(topic, 4))
    await world.log.truncate(topic, 0, 4)
    assert await world.log.bounds(topic, 0) == Bounds(4, 4)
    assert (await world.append(topic)).offset == 4


async def test_a_record_over_the_topics_limit_is_refused_for_good(world: World) -> None:
    topic = world.topic("large", max_bytes=2_000)
    with pytest.raises(RecordTooLarge):
        await world.append(topic, os.urandom(5_000))
    assert (await world.append(topic, os.urandom(1_000))).offset == 0


async def test_a_compacted_topic_takes_no_record_without_a_key(world: World) -> None:
    topic = world.topic("compacted", compact=True)
    with pytest.raises(AppendFailed):
        await world.append(topic)
    assert (await world.append(topic, key=b"key")).offset == 0
