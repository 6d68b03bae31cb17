from __future__ import annotations

import asyncio
from dataclasses import replace

from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.file import parse_routing
from aiosv3.router.routing.following import follow_policies, publish_version, read_policies
from aiosv3.router.routing.versions import routing_version
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.policies import PolicyVersion
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.log import Outgoing
from aiosv3.streams.tenure import appended
from aiosv3.streams.testing import MemoryBroker, MemoryLog

TOPICS = Topics()
CODEC = Codec(SchemaStore())


def version(weight: int) -> PolicyVersion:
    return routing_version(parse_routing(f"tenants: {{a: {{weight: {weight}}}}}")[0], weight)


def made() -> MemoryLog:
    broker = MemoryBroker()
    broker.create_topic(TOPICS.policies(), 1)
    return MemoryLog(broker, "test")


async def test_what_is_pushed_is_read_by_everybody() -> None:
    log, book = made(), PolicyBook()
    await publish_version(log, CODEC, TOPICS, version(1))
    await publish_version(log, CODEC, TOPICS, version(2))
    end = await read_policies(log, CODEC, TOPICS, book)
    assert (end, book.weight("a")) == (2, 2)
    assert await read_policies(log, CODEC, TOPICS, book, end) == end


async def test_a_bad_record_is_passed_over_and_the_good_one_stays() -> None:
    log, book = made(), PolicyBook()
    await publish_version(log, CODEC, TOPICS, version(1))
    await publish_version(log, CODEC, TOPICS, replace(version(2), content='{"version": 9}'))
    headers = event(b"aiosv3.policy", "x", b"x", AVRO, b"")
    await appended(log, Outgoing(TOPICS.policies(), 0, b"x", b"no Avro at all", headers))
    await appended(log, Outgoing(TOPICS.policies(), 0, b"x", None, headers))
    assert await read_policies(log, CODEC, TOPICS, book) == 4
    assert book.weight("a") == 1
    assert len(book.passed_over) == 2


async def test_a_follower_sees_a_push_without_a_restart() -> None:
    log, book = made(), PolicyBook()
    following = asyncio.create_task(follow_policies(log, CODEC, TOPICS, book, every=0.0))
    await publish_version(log, CODEC, TOPICS, version(3))
    async with asyncio.timeout(30):
        while book.weight("a") != 3:
            await asyncio.sleep(0)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_log_that_is_away_changes_nothing() -> None:
    log = MemoryLog(MemoryBroker(), "test")  # without the topic
    book = PolicyBook()
    following = asyncio.create_task(follow_policies(log, CODEC, TOPICS, book, every=0.0))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not following.done()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
