"""Transactions on a real broker: what others abort is not read; what librdkafka says becomes what we say."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import Producer

from aiosv3.streams.errors import AppendFailed, BrokerUnavailable
from aiosv3.streams.kafka import AppendSettings, Connection, GroupProtocol, KafkaLog
from aiosv3.streams.kafka.transactions import TransactionalAppender
from aiosv3.streams.log import Appended, Outgoing

from .conftest import PROTOCOLS, Cluster, Recorder

pytestmark = pytest.mark.kafka


def aborted(bootstrap: str, topic: str) -> None:
    """A record of somebody's transaction, aborted after it had reached the broker."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"{topic}-somebody"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"never meant", partition=0)
    producer.flush(30)
    producer.abort_transaction(30)


@pytest.mark.parametrize("protocol", PROTOCOLS[:1], ids=lambda protocol: protocol.name)
async def test_a_task_that_its_producer_aborted_is_neither_given_nor_read(
    cluster: Cluster, kafka: str, topic_prefix: str, protocol: GroupProtocol
) -> None:
    tasks = cluster.topics.create("tasks", 1)
    await asyncio.to_thread(aborted, kafka, tasks)
    await cluster.append(tasks, 0, [b"meant"])
    listener = Recorder(tasks)
    member = cluster.member(topic_prefix + "g", listener, protocol=protocol)
    await member.join(listener)
    await listener.until(lambda: bool(listener.seen))
    end = (await cluster.log.bounds(tasks, 0)).end
    read = [record async for batch in cluster.log.read(tasks, 0, 0, end) for record in batch]
    assert [record.value for record in read] == [b"meant"]
    assert listener.seen == {(tasks, 0): [read[0].offset]}


async def test_many_records_share_a_transaction(cluster: Cluster) -> None:
    """Else a busy partition would pay a commit for each result."""
    topic = cluster.topics.create("t", 1)
    writer = await cluster.log.transactions(topic, 0)
    acks: list[Appended | AppendFailed] = []
    for number in range(500):
        writer.append(Outgoing(topic, 0, None, b"%d" % number, []), acks.append)
    async with asyncio.timeout(60):
        while len(acks) < 500:
            await asyncio.sleep(0.01)
    offsets = [ack.offset for ack in acks if isinstance(ack, Appended)]
    assert len(offsets) == 500
    assert offsets[-1] - 499 < 20, "holes are the ends of transactions"


async def test_a_broker_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiosv3.streams.kafka.transactions._WAIT_S", 0.2)
    log = KafkaLog(Connection("127.0.0.1:1"))
    with pytest.raises(BrokerUnavailable, match="beginning the transactions of results/3"):
        await log.transactions("results", 3)
    await log.close()


async def test_closing_the_log_ends_the_threads_of_its_transactions(cluster: Cluster, kafka: str) -> None:
    topic = cluster.topics.create("t", 1)
    log = KafkaLog(Connection(kafka))
    writer = await log.transactions(topic, 0)
    await log.close()
    assert writer.ended
    told: list[Appended | AppendFailed] = []
    writer.append(Outgoing(topic, 0, None, b"late", []), told.append)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [type(outcome) for outcome in told] == [AppendFailed]


async def test_a_callback_that_raises_takes_no_other_along(cluster: Cluster, kafka: str) -> None:
    topic = cluster.topics.create("t", 1)
    loop, complaints = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))
    config = AppendSettings().config("none")
    writer = TransactionalAppender(Connection(kafka), config, f"{topic}/0", loop)
    await writer.start()
    told: list[Appended | AppendFailed] = []

    def broken(_: object) -> None:
        raise ValueError("on purpose")

    writer.append(Outgoing(topic, 0, None, b"a", []), broken)
    writer.append(Outgoing(topic, 0, None, b"b", []), told.append)
    async with asyncio.timeout(60):
        while not told:
            await asyncio.sleep(0.01)
    writer.close()
    await writer.wait_closed()
    assert len(complaints) == 1
