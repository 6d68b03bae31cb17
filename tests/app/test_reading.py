"""Reading topics for people, on a real broker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aiosv3.app.reading import Reading
from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.records import PoolState, PoolStatus
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.tenure import appended

pytestmark = pytest.mark.kafka


@pytest.fixture
async def reading(tmp_path: Any, kafka: str, topic_prefix: str) -> AsyncIterator[Reading]:
    settings = Settings(folder=tmp_path, kafka=KafkaSettings(bootstrap=kafka, prefix=topic_prefix))
    async with open_mesh(settings, "reading") as mesh:
        yield Reading(mesh)


def record(value: bytes | None) -> Record:
    return Record("t", 0, 0, 0, None, value, [])


async def put(reading: Reading, topic: str, *ids: str, partition: int = 0) -> None:
    for record_id in ids:
        headers = [("ce_id", record_id.encode())]
        await appended(reading.mesh.log, Outgoing(topic, partition, record_id.encode(), b"{}", headers))


async def test_whole_partitions_from_any_start(reading: Reading, kafka_topics: Any) -> None:
    topic = kafka_topics.create("notes", 2)
    await put(reading, topic, "a", "b", "c")
    assert [one.offset async for one in reading.records(topic, 0)] == [0, 1, 2]
    assert [one.offset async for one in reading.records(topic, 0, 2)] == [2]
    assert [one.offset async for one in reading.records(topic, 0, 9)] == []
    assert [one.offset async for one in reading.records(topic, 1)] == []


async def test_what_is_below_the_start_of_the_log_is_passed_over(reading: Reading, kafka_topics: Any) -> None:
    topic = kafka_topics.create("notes", 1)
    await put(reading, topic, "a", "b", "c")
    await reading.mesh.log.truncate(topic, 0, 2)
    assert [one.offset async for one in reading.records(topic, 0)] == [2]


async def test_the_first_record_of_an_id_counts_and_a_search_goes_on(reading: Reading, kafka_topics: Any) -> None:
    topic = kafka_topics.create("notes", 1)
    await put(reading, topic, "a", "b", "a")
    position, found = await reading.find(topic, 0, "a", 0)
    assert (position, found.offset if found else None) == (1, 0)
    position, found = await reading.find(topic, 0, "z", 0)
    assert (position, found) == (3, None)
    await put(reading, topic, "z")
    position, found = await reading.find(topic, 0, "z", position)
    assert (position, found.offset if found else None) == (4, 3)


async def test_topics_are_there_or_not(reading: Reading, kafka_topics: Any) -> None:
    topic = kafka_topics.create("notes", 3)
    assert (await reading.exists(topic), await reading.partitions(topic)) == (True, 3)
    assert (await reading.exists("nope"), await reading.partitions("nope")) == (False, 0)


async def test_what_is_deleted_while_it_is_read_is_passed_over(reading: Reading, kafka_topics: Any) -> None:
    topic = kafka_topics.create("notes", 1)
    await put(reading, topic, "a", "b", "c")
    held = await reading.mesh.log.bounds(topic, 0)
    await reading.mesh.log.truncate(topic, 0, 2)
    assert [one.offset async for one in reading.between(topic, 0, held)] == [2]
    await reading.mesh.log.truncate(topic, 0, 3)
    assert [one.offset async for one in reading.between(topic, 0, held)] == []


async def test_values_become_plain_data(reading: Reading) -> None:
    status = PoolStatus("p", "r", PoolState.UP, "local", "m", "public", 0, 1, None, 0, None, 5, "")
    decoded = await reading.decoded(record(reading.mesh.codec.encode(status)))
    assert (decoded["pool"], decoded["state"]) == ("p", "UP")
    assert await reading.decoded(record(None)) == {}
    assert await reading.decoded(record(json.dumps({"a": 1}).encode())) == {"a": 1}
    assert await reading.decoded(record(b"[1]")) == {"value": [1]}
    assert await reading.decoded(record(b"\xff")) == {"bytes": "b'\\xff'"}


async def test_what_cannot_be_decoded_says_why(reading: Reading) -> None:
    assert "no registry is configured" in (await reading.decoded(record(b"\0\x3b\x9a\xca\0rest")))["unreadable"]
    assert "unreadable" in await reading.decoded(record(b"\0\1"))
