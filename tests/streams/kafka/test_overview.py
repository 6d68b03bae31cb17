"""A cluster at a glance, on a real broker."""

from __future__ import annotations

import asyncio

import pytest

from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.kafka import Connection, KafkaRefused, Overview
from aiosv3.streams.log import Committed

from .conftest import Cluster, Recorder

pytestmark = pytest.mark.kafka


async def test_topics_bounds_and_moments_of_many_partitions_at_once(cluster: Cluster) -> None:
    one, two = cluster.topics.create("one", 2), cluster.topics.create("two", 1)
    first = await cluster.append(one, 1, [b"a", b"b", b"c"])
    await cluster.log.truncate(one, 1, 1)
    overview = Overview(cluster.connection)
    counts = await overview.topics(cluster.topics.prefix)
    assert counts == {one: 2, two: 1}
    assert await overview.bounds(counts) == {(one, 0): (0, 0), (one, 1): (1, 3), (two, 0): (0, 0)}
    assert await overview.offsets_at(counts, first[2].timestamp + 60_000) == {(one, 0): 0, (one, 1): 3, (two, 0): 0}
    assert (await overview.offsets_at(counts, first[0].timestamp))[one, 1] <= 1
    assert await overview.newest(counts) == {one: first[2].timestamp}
    assert await overview.bounds({}) == {}
    assert (await overview.configs([two]))[two]["cleanup.policy"] == "delete"
    assert await overview.configs([]) == {}


async def test_what_is_not_there_is_refused_in_words(cluster: Cluster) -> None:
    with pytest.raises(KafkaRefused, match="asking for offsets: "):
        await Overview(cluster.connection).bounds({cluster.topics.prefix + "none": 1})


async def test_the_broker_shows_how_it_is_set(cluster: Cluster) -> None:
    facts = await Overview(cluster.connection).broker()
    assert facts.brokers >= 1
    assert "group.consumer.session.timeout.ms" in facts.settings


async def test_groups_with_their_members_and_commits(cluster: Cluster) -> None:
    topic, name = cluster.topics.create("inputs", 2), cluster.topics.prefix + "workers"
    recorder = Recorder(topic)
    member = cluster.member(name, recorder)
    overview = Overview(cluster.connection)
    assert (await overview.groups([name]))[name].members == ()
    await member.join(recorder)
    await recorder.until(lambda: len(recorder.owned) == 2)
    assert await member.commit(0, Committed(0, "note"))
    async with asyncio.timeout(30):
        while len((group := (await overview.groups([name]))[name]).members) != 1 or not group.members[0].partitions:
            await asyncio.sleep(0.05)
    assert group.members[0].partitions == ((topic, 0), (topic, 1))
    assert (group.state, group.members[0].client) == ("stable", cluster.connection.client_id)
    assert (await overview.committed(name, topic))[0] == Committed(0, "note")
    assert await overview.committed(name + "-none", topic) == {}
    assert await overview.groups([]) == {}


async def test_a_broker_that_is_not_there_is_said_within_the_timeout() -> None:
    overview = Overview(Connection("127.0.0.1:1"), timeout=0.5)
    async with asyncio.timeout(5):
        with pytest.raises(BrokerUnavailable, match=r"no Kafka broker answered at 127\.0\.0\.1:1"):
            await overview.topics()
