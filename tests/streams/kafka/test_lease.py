"""How long a member believes that it owns its partitions (protocol rule 6)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from aiosv3.streams.kafka import Connection, GroupProtocol, KafkaLog, KafkaMember, MemberSettings
from aiosv3.streams.kafka.lease import Lease
from aiosv3.streams.log import Committed

from .conftest import PROTOCOLS, Cluster, Recorder


def test_a_lease_counts_from_the_moment_a_commit_was_sent() -> None:
    now = 100.0
    lease = Lease(6.0, lambda: now)
    assert not lease.held()
    assert lease.due()
    sent = lease.trying()
    now = 104.0  # the answer took four seconds
    lease.proven(sent)
    assert lease.held()
    now = 105.9
    assert lease.held()
    now = 106.0
    assert not lease.held()


def test_an_older_proof_takes_nothing_back() -> None:
    now = 100.0
    lease = Lease(6.0, lambda: now)
    lease.proven(100.0)
    lease.proven(97.0)
    now = 105.0
    assert lease.held()


def test_a_lease_is_due_after_a_third_and_tried_again_after_a_twelfth() -> None:
    now = 100.0
    lease = Lease(6.0, lambda: now)
    lease.proven(lease.trying())
    now = 101.9
    assert not lease.due()
    now = 102.0
    assert lease.due()
    lease.trying()
    now = 102.4
    assert not lease.due()
    now = 102.5
    assert lease.due()


def test_a_dropped_lease_is_not_held() -> None:
    lease = Lease(6.0, lambda: 100.0)
    lease.proven(100.0)
    lease.drop()
    assert not lease.held()
    assert lease.due()


class _Broker:
    """What the member's consumer commits, and whether it is answered. Makes consumers that report here."""

    def __init__(self) -> None:
        self.answers = True
        self.sent: list[tuple[int, int, str]] = []
        self.heard = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def consumer(self, config: dict[str, Any]) -> Consumer:
        broker = self

        class Spied(Consumer):
            def commit(self, *args: Any, **options: Any) -> Any:
                for place in options["offsets"]:
                    broker.sent.append((place.partition, place.offset, place.metadata or ""))
                try:
                    if not broker.answers:
                        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                    return super().commit(*args, **options)
                finally:
                    broker._loop.call_soon_threadsafe(broker.heard.set)

        return Spied(config)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self.heard.clear()
                await self.heard.wait()


@pytest.mark.kafka
async def test_an_idle_member_renews_with_its_last_commit_unchanged(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    tasks = cluster.topics.create("tasks", 1)
    await cluster.append(tasks, 0, [b"x"] * 50)
    skew = 0.0
    broker = _Broker()
    listener = Recorder(tasks, commits_on_revoke=False)
    member = cluster.member(
        topic_prefix + "g",
        listener,
        protocol=protocol,
        clock=lambda: time.monotonic() + skew,
        consumer_type=broker.consumer,
    )
    assert not member.alive()
    await member.join(listener)
    await listener.until(lambda: 0 in listener.owned)
    assert member.alive()
    assert await member.commit(0, Committed(40, "mine"))
    broker.sent.clear()
    skew = 3.0
    await broker.until(lambda: bool(broker.sent))
    assert set(broker.sent) == {(0, 40, "mine")}
    assert member.alive()


@pytest.mark.kafka
async def test_a_member_whose_commits_are_not_answered_is_not_alive(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    tasks = cluster.topics.create("tasks", 1)
    skew = 0.0
    broker = _Broker()
    listener = Recorder(tasks, commits_on_revoke=False)
    member = cluster.member(
        topic_prefix + "g",
        listener,
        protocol=protocol,
        clock=lambda: time.monotonic() + skew,
        consumer_type=broker.consumer,
    )
    await member.join(listener)
    await listener.until(lambda: 0 in listener.owned)
    broker.answers = False
    skew = 6.5
    assert not member.alive()
    assert not await member.commit(0, Committed(0, ""))
    assert not member.alive()
    broker.answers = True
    assert await member.commit(0, Committed(0, ""))
    assert member.alive()


@pytest.mark.kafka
async def test_the_proof_of_a_new_owner_is_read_back_as_no_commit(
    cluster: Cluster, protocol: GroupProtocol, topic_prefix: str
) -> None:
    tasks = cluster.topics.create("tasks", 1)
    await cluster.append(tasks, 0, [b"x"] * 5)
    broker = _Broker()
    for _ in range(2):
        listener = Recorder(tasks, commits_on_revoke=False)
        member = cluster.member(topic_prefix + "g", listener, protocol=protocol, consumer_type=broker.consumer)
        await member.join(listener)
        await listener.until(lambda listener=listener: 0 in listener.owned)  # type: ignore[misc]
        assert member.alive()
        assert listener.commits == {0: None}
        await member.leave()
    assert set(broker.sent) == {(0, 0, "aiosv3:lease")}


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
async def test_a_broker_that_dies_and_comes_back(
    kafka_server: Any, kafka_topics_at: Any, protocol: GroupProtocol
) -> None:
    """Without answers the member is not alive; it leaves nothing out and doubles nothing when the broker is back."""
    bootstrap = kafka_server.bootstrap
    topics = kafka_topics_at(bootstrap, "t.")
    tasks = topics.create("tasks", 1)
    connection = Connection(bootstrap)
    listener = Recorder(tasks)
    member = KafkaMember(connection, "t.g", tasks, protocol=protocol, settings=MemberSettings())
    listener.member = member
    async with KafkaLog(connection) as log:
        cluster = Cluster(connection, log, topics)
        await cluster.append(tasks, 0, [b"x"] * 10)
        await member.join(listener)
        await listener.until(lambda: len(listener.seen.get((tasks, 0), [])) == 10)
        assert await member.commit(0, Committed(10, ""))
        await asyncio.to_thread(kafka_server.kill9)
        async with asyncio.timeout(30):
            while member.alive() and listener.owned:
                assert not await member.commit(0, Committed(10, ""))
        await asyncio.to_thread(kafka_server.start)
        async with asyncio.timeout(60):
            while not await member.commit(0, Committed(10, "")):
                pass
        assert member.alive()
        await cluster.append(tasks, 0, [b"x"] * 10)
        await listener.until(lambda: len(listener.seen.get((tasks, 0), [])) >= 20)
        assert listener.seen[tasks, 0] == list(range(20))
        await member.leave()


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
async def test_leaving_a_dead_broker_ends(kafka_server: Any, kafka_topics_at: Any, protocol: GroupProtocol) -> None:
    tasks = kafka_topics_at(kafka_server.bootstrap, "t.").create("tasks", 1)
    listener = Recorder(tasks)
    member = KafkaMember(Connection(kafka_server.bootstrap), "t.g", tasks, protocol=protocol)
    await member.join(listener)
    await listener.until(lambda: 0 in listener.owned)
    await asyncio.to_thread(kafka_server.kill9)
    async with asyncio.timeout(25):
        await member.leave()
    assert listener.events[-1] in (("lost", 0), ("revoked", 0))
    assert not member.alive()
    assert not await member.commit(0, Committed(0, ""))
