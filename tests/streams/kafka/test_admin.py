"""Topics on a real broker."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import Consumer, TopicPartition

from aiosv3.streams.errors import PartitionMismatch
from aiosv3.streams.kafka import TopicSpec, committed_offsets, describe, ensure_topics, topic_counts
from aiosv3.streams.log import Committed

from .conftest import Cluster

pytestmark = pytest.mark.kafka


async def test_missing_topics_are_created_by_many_at_once(cluster: Cluster, topic_prefix: str) -> None:
    specs = [
        TopicSpec(topic_prefix + "tasks", 3, config={"max.message.bytes": "300000"}),
        TopicSpec(topic_prefix + "journal", 3, "keep"),
        TopicSpec(topic_prefix + "pools", 1, "compact", append_time=False),
    ]
    await asyncio.gather(*(ensure_topics(cluster.connection, specs) for _ in range(4)))
    names = [spec.name for spec in specs]
    assert await topic_counts(cluster.connection, [*names, topic_prefix + "other"]) == dict(
        zip(names, (3, 3, 1), strict=True)
    )
    found = await describe(cluster.connection, names)
    tasks, journal, pools = (found[name].config for name in names)
    assert (tasks["cleanup.policy"], tasks["max.message.bytes"]) == ("delete", "300000")
    assert (journal["retention.ms"], journal["retention.bytes"]) == ("-1", "-1")
    assert pools["cleanup.policy"] == "compact"
    times = [config["message.timestamp.type"] for config in (tasks, journal, pools)]
    assert times == ["LogAppendTime", "LogAppendTime", "CreateTime"]
    assert found[names[0]].replication == 1


async def test_another_partition_count_is_refused_with_the_counts(cluster: Cluster) -> None:
    one = cluster.topics.create("one", 1)
    two = cluster.topics.create("two", 2)
    with pytest.raises(PartitionMismatch, match=f"{one} has 1 partitions, not 6; {two} has 2 partitions, not 6"):
        await ensure_topics(cluster.connection, [TopicSpec(one, 6), TopicSpec(two, 6)])


async def test_append_time_is_set_on_topics_of_others(cluster: Cluster) -> None:
    name = cluster.topics.create("t", 1, {"message.timestamp.type": "CreateTime"})
    await ensure_topics(cluster.connection, [TopicSpec(name, 1, append_time=False)])
    assert (await describe(cluster.connection, [name]))[name].config["message.timestamp.type"] == "CreateTime"
    await ensure_topics(cluster.connection, [TopicSpec(name, 1)])
    appended = (await describe(cluster.connection, [name]))[name].config["message.timestamp.type"]
    assert appended == "LogAppendTime"


async def test_what_a_group_has_committed_is_read_without_joining_it(cluster: Cluster) -> None:
    topic, group = cluster.topics.create("offsets", 2), cluster.topics.prefix + "a-group"
    assert await committed_offsets(cluster.connection, group, topic) == {}
    consumer = Consumer({"bootstrap.servers": cluster.connection.bootstrap, "group.id": group, "log_level": 0})
    try:
        consumer.commit(offsets=[TopicPartition(topic, 1, 7, "1|2|3|4|")], asynchronous=False)
    finally:
        consumer.close()
    assert await committed_offsets(cluster.connection, group, topic) == {1: Committed(7, "1|2|3|4|")}
    assert await committed_offsets(cluster.connection, group, "another") == {}
