"""Appending and reading on a real broker."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiosv3.streams.errors import AppendFailed, AppendUnknown, BrokerUnavailable, DataLost, RecordTooLarge
from aiosv3.streams.kafka import AppendSettings, Connection, KafkaLog, KafkaRefused, LogSettings, appender
from aiosv3.streams.kafka.admin import admin_client
from aiosv3.streams.log import Appended, Bounds, Outgoing, Record
from aiosv3.streams.partitioner import murmur2_partition

from .conftest import Cluster, append_all
from .nameless import Nameless

pytestmark = pytest.mark.kafka
NOBODY = "127.0.0.1:1"


async def _read(log: KafkaLog, topic: str, partition: int, start: int, end: int) -> list[Record]:
    return [record async for batch in log.read(topic, partition, start, end) for record in batch]


async def test_records_come_back_as_they_went(cluster: Cluster) -> None:
    topic = cluster.topics.create("t", 2)
    headers = [("a", b"1"), ("ä", b"\x00\xff"), ("a", b"2")]
    sent = [
        Outgoing(topic, 1, b"key", b"value", headers),
        Outgoing(topic, 1, None, None, []),
        Outgoing(topic, 1, b"", b"", []),
    ]
    acks = await cluster.try_append(sent)
    read = await _read(cluster.log, topic, 1, 0, 3)
    assert [record[4:] for record in read] == [
        (b"key", b"value", headers),
        (None, None, []),
        (b"", b"", []),
    ]
    assert [Appended(r.partition, r.offset, r.timestamp) for r in read] == acks
    assert abs(read[0].timestamp - time.time() * 1_000) < 60_000
    assert read[0].header("a") == b"2"


async def test_done_is_never_called_inside_append(cluster: Cluster) -> None:
    topic = cluster.topics.create("t", 1)
    loop = asyncio.get_running_loop()
    inside: list[bool] = []
    for value, partition in ((b"x", 0), (b"x" * 2_000_000, 0), (b"x", 5)):
        called: asyncio.Future[bool] = loop.create_future()

        def done(_: Any, called: asyncio.Future[bool] = called) -> None:
            called.set_result(bool(inside))

        inside.append(True)
        cluster.log.append(Outgoing(topic, partition, None, value, []), done)
        inside.clear()
        assert not await called


async def test_order_is_kept_while_the_queue_is_full(kafka: str, kafka_topics: Any) -> None:
    topic = kafka_topics.create("t", 3)
    settings = LogSettings(append=AppendSettings(queued_records=10))
    records = [Outgoing(topic, n % 3, None, b"%d" % n, []) for n in range(3_000)]
    async with KafkaLog(Connection(kafka), settings) as log:
        acks = await append_all(log, records)
        for partition in range(3):
            read = await _read(log, topic, partition, 0, 1_000)
            assert [int(record.value or b"") for record in read] == list(range(partition, 3_000, 3))
    assert [ack.offset for ack in acks if isinstance(ack, Appended)] == [n // 3 for n in range(3_000)]


async def test_huge_records_are_refused_and_the_others_land(kafka: str, kafka_topics: Any) -> None:
    """Too large for this producer, and too large for the topic; the records around them are not touched."""
    topic = kafka_topics.create("t", 1, {"max.message.bytes": "200000"})
    sizes = [10, 300_000, 10, 2_000_000, 10, 150_000, 10]
    async with KafkaLog(Connection(kafka)) as log:
        acks = await append_all(log, [Outgoing(topic, 0, None, b"x" * size, []) for size in sizes])
        kinds = [type(ack) for ack in acks]
        assert kinds == [Appended, RecordTooLarge, Appended, RecordTooLarge, Appended, Appended, Appended]
        assert "claim check" in str(acks[1])
        assert "claim check" in str(acks[3])
        read = await _read(log, topic, 0, 0, 5)
        assert [len(record.value or b"") for record in read] == [10, 10, 10, 150_000, 10]


async def test_a_missing_topic_or_partition_is_certainly_not_written(cluster: Cluster) -> None:
    topic = cluster.topics.create("t", 1)
    await cluster.append(topic, 0, [b"x"])
    (result,) = await cluster.try_append([Outgoing(topic, 7, None, b"x", [])])
    assert type(result) is AppendFailed
    assert "Create the topic" in str(result)


async def test_a_callback_that_raises_takes_no_acknowledgement_along(cluster: Cluster) -> None:
    topic = cluster.topics.create("t", 1)
    loop = asyncio.get_running_loop()
    complaints: list[Any] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context["exception"]))
    last: asyncio.Future[Any] = loop.create_future()

    def broken(_: Any) -> None:
        raise ValueError("broken callback")

    for _ in range(20):
        cluster.log.append(Outgoing(topic, 0, None, b"x", []), broken)
    cluster.log.append(Outgoing(topic, 0, None, b"x", []), last.set_result)
    assert await last == Appended(0, 20, last.result().timestamp)
    assert [str(error) for error in complaints] == ["broken callback"] * 20


async def test_partition_by_key_is_javas(cluster: Cluster) -> None:
    topic = cluster.topics.create("t", 6)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sets(st.binary(min_size=1, max_size=40), max_size=60))
    def collect(found: set[bytes]) -> None:
        keys.update(found)

    keys: set[bytes] = set()
    collect()
    ordered = sorted(keys)
    acks = await cluster.try_append([Outgoing(topic, None, key, b"", []) for key in ordered])
    assert [ack.partition for ack in acks if isinstance(ack, Appended)] == [
        murmur2_partition(key, 6) for key in ordered
    ]


async def test_compressed_topics(kafka: str, kafka_topics: Any) -> None:
    topic = kafka_topics.create("t", 1)
    async with KafkaLog(Connection(kafka), LogSettings(gzip=frozenset({topic}))) as log:
        await append_all(log, [Outgoing(topic, 0, None, b"same" * 100, [])] * 500)
        assert {record.value for record in await _read(log, topic, 0, 0, 500)} == {b"same" * 100}


async def test_a_range_ends_at_its_end_when_the_last_offsets_are_holes(cluster: Cluster) -> None:
    """Commit markers of transactions take offsets and are never delivered."""
    topic = cluster.topics.create("t", 1)
    await cluster.append(topic, 0, [b"a", b"b"])
    producer = Producer({"bootstrap.servers": cluster.connection.bootstrap, "transactional.id": topic, "log_level": 0})
    await asyncio.to_thread(producer.init_transactions, 30)
    for _ in range(2):
        producer.begin_transaction()
        producer.produce(topic, b"t", partition=0)
        await asyncio.to_thread(producer.commit_transaction, 30)
    async with asyncio.timeout(30):
        while await cluster.log.bounds(topic, 0) != Bounds(
            0, 6
        ):  # the coordinator writes its marker after it has said yes
            await asyncio.sleep(0)
    assert [r.offset for r in await _read(cluster.log, topic, 0, 0, 6)] == [0, 1, 2, 4]
    assert [r.offset for r in await _read(cluster.log, topic, 0, 0, 4)] == [0, 1, 2]
    assert [r.offset for r in await _read(cluster.log, topic, 0, 1, 5)] == [1, 2, 4]
    assert await _read(cluster.log, topic, 0, 5, 6) == []
    assert await _read(cluster.log, topic, 0, 3, 3) == []


async def test_many_ranges_at_once_one_inside_another(cluster: Cluster) -> None:
    topic = cluster.topics.create("t", 2)
    for partition in (0, 1):
        await cluster.append(topic, partition, [b"%d" % n for n in range(5_000)])

    async def check(start: int, end: int) -> None:
        read = await _read(cluster.log, topic, start % 2, start, end)
        assert [record.offset for record in read] == list(range(start, end))

    await asyncio.gather(*(check(start, start + 1_500) for start in range(0, 3_500, 250)))
    async for outer in cluster.log.read(topic, 0, 0, 4_000):
        async for _ in cluster.log.read(topic, 0, 100, 3_000):
            await check(outer[0].offset + 1, outer[0].offset + 20)
            break


async def test_truncated_records_are_lost_by_name(cluster: Cluster) -> None:
    topic = cluster.topics.create("t", 1)
    await cluster.append(topic, 0, [b"x"] * 20)
    await cluster.log.truncate(topic, 0, 10)
    await cluster.log.truncate(topic, 0, 5)
    assert await cluster.log.bounds(topic, 0) == Bounds(10, 20)
    assert len(await _read(cluster.log, topic, 0, 10, 20)) == 10
    with pytest.raises(DataLost, match="starts at offset 10, but this group still needs 9") as caught:
        await _read(cluster.log, topic, 0, 9, 20)
    assert (caught.value.needed, caught.value.start) == (9, 10)
    with pytest.raises(KafkaRefused, match="deleting"):
        await cluster.log.truncate(topic, 0, 21)


async def test_an_admin_client_that_reached_nobody_is_not_used_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = cluster.topics.create("t", 1)
    await cluster.append(topic, 0, [b"x"] * 3)
    made: list[AdminClient] = []

    def create(*how: Any) -> AdminClient:
        made.append(admin_client(*how))
        return made[-1]

    monkeypatch.setattr("aiosv3.streams.kafka.log.admin_client", create)
    async with (
        Nameless(cluster.connection.bootstrap).open() as way,
        KafkaLog(Connection(way.bootstrap), LogSettings(timeout=2.0)) as log,
    ):
        await log.truncate(topic, 0, 1)
        await log.truncate(topic, 0, 1)
        assert len(made) == 1
        way.stand_still()
        with pytest.raises(BrokerUnavailable, match="deleting"):
            await log.truncate(topic, 0, 2)
        way.go_on()
        await log.truncate(topic, 0, 3)
        assert len(made) == 2
    assert await cluster.log.bounds(topic, 0) == Bounds(3, 3)


async def test_offset_at_a_time(cluster: Cluster) -> None:
    topic = cluster.topics.create("t", 1, {"message.timestamp.type": "CreateTime"})
    now = int(time.time() * 1_000)
    producer = Producer({"bootstrap.servers": cluster.connection.bootstrap, "log_level": 0})
    for late in (0, 100, 200, 300):
        producer.produce(topic, b"x", partition=0, timestamp=now + late)
    await asyncio.to_thread(producer.flush, 30)
    found = [await cluster.log.offset_at(topic, 0, now + at) for at in (-5, 0, 1, 100, 250, 300, 301)]
    assert found == [0, 0, 1, 1, 3, 3, 4]
    assert await cluster.log.offset_at(topic, 0, 0) == 0


async def test_a_missing_topic_is_refused_in_words(cluster: Cluster, topic_prefix: str) -> None:
    with pytest.raises(KafkaRefused, match="Create the topic"):
        await cluster.log.bounds(topic_prefix + "nope", 0)


async def test_a_cancelled_read_harms_no_other(cluster: Cluster) -> None:
    topic = cluster.topics.create("t", 1)
    await cluster.append(topic, 0, [b"x"] * 3_000)
    for _ in range(10):
        reading = asyncio.create_task(_read(cluster.log, topic, 0, 0, 3_000))
        await asyncio.sleep(0)
        reading.cancel()
        assert len(await _read(cluster.log, topic, 0, 0, 3_000)) == 3_000
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_after_close_nothing_is_taken(kafka: str, kafka_topics: Any) -> None:
    topic = kafka_topics.create("t", 1)
    log = KafkaLog(Connection(kafka))
    await log.start()
    results = asyncio.gather(append_all(log, [Outgoing(topic, 0, None, b"x", [])] * 1_000))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await log.close()
    assert Counter(map(type, (await results)[0])) == {Appended: 1_000}
    (late,) = await append_all(log, [Outgoing(topic, 0, None, b"x", [])])
    assert "closed" in str(late)


async def test_the_first_record_finds_a_producer_that_was_made_before(kafka: str, kafka_topics: Any) -> None:
    """One that is made for the record waits half a second before it asks for its id."""
    made: list[int] = []

    def producer(config: dict[str, object]) -> Producer:
        made.append(len(made))
        return Producer(config)

    topic = kafka_topics.create("t", 1)
    async with KafkaLog(Connection(kafka), producer_type=producer) as log:
        assert made == [0]
        assert [type(each) for each in await append_all(log, [Outgoing(topic, 0, None, b"x", [])])] == [Appended]
        await log.start()
    assert made == [0]


async def test_no_broker_is_one_clear_error() -> None:
    log = KafkaLog(Connection(NOBODY))
    with pytest.raises(BrokerUnavailable, match=r"no Kafka broker answered at 127\.0\.0\.1:1 .*aiosv3 up"):
        await log.start(1.0)
    await log.close()


async def test_an_append_without_an_answer_is_unknown() -> None:
    settings = LogSettings(append=AppendSettings(delivery_timeout_ms=500))
    log = KafkaLog(Connection(NOBODY), settings)
    (result,) = await append_all(log, [Outgoing("t", 0, None, b"x", [])])
    assert type(result) is AppendUnknown
    assert "read the log to its end" in str(result)
    await log.close()


async def test_nothing_waits_behind_what_is_fleeting() -> None:
    """A producer of its own gives up early; the other one goes on trying."""
    made: list[dict[str, Any]] = []

    def make(config: dict[str, Any]) -> Any:
        made.append(config)
        return Producer(config)

    durable, passing = AppendSettings(delivery_timeout_ms=20_000), AppendSettings(delivery_timeout_ms=300)
    settings = LogSettings(append=durable, passing=passing, fleeting=frozenset({"deltas"}))
    log = KafkaLog(Connection(NOBODY), settings, producer_type=make)
    loop = asyncio.get_running_loop()
    lost: asyncio.Future[Any] = loop.create_future()
    kept: asyncio.Future[Any] = loop.create_future()
    log.append(Outgoing("results", 0, None, b"x", []), kept.set_result)
    log.append(Outgoing("deltas", 0, None, b"x", []), lost.set_result)
    assert type(await lost) is AppendUnknown
    assert not kept.done()
    assert [config["delivery.timeout.ms"] for config in made] == [20_000, 300]
    assert LogSettings().passing.delivery_timeout_ms < LogSettings().append.delivery_timeout_ms
    for one in log._appenders.values():
        await one.close(0)
    await log.close()


async def test_a_fatal_producer_is_replaced(kafka: str, kafka_topics: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What it held is unknown; what comes after goes through a new one, in order."""
    topic = kafka_topics.create("t", 1)
    made: list[_Breakable] = []

    def make(config: dict[str, Any]) -> Any:
        made.append(_Breakable(config))
        return made[-1]

    log = KafkaLog(Connection(kafka), producer_type=make)
    assert isinstance((await append_all(log, [Outgoing(topic, 0, None, b"0", [])]))[0], Appended)
    made[0].broken = True
    results = await append_all(log, [Outgoing(topic, 0, None, b"%d" % n, []) for n in range(1, 200)])
    kinds = [type(result) for result in results]
    lost = kinds.count(AppendUnknown)
    assert kinds == [AppendUnknown] * lost + [Appended] * (199 - lost)
    assert len(made) == 2
    assert "producer replaced after a fatal error" in caplog.text
    read = await _read(log, topic, 0, 0, 200 - lost)
    assert [int(record.value or b"") for record in read] == [0, *range(1 + lost, 200)]
    await log.close()


class _Breakable:
    """A real producer that can be told to have failed for good: librdkafka's own test hook is not in the client."""

    def __init__(self, config: dict[str, Any]) -> None:
        from confluent_kafka import KafkaError

        self._producer = Producer(config)
        self._report = config["error_cb"]
        self._error = KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "made up", fatal=True)
        self._held: list[Any] = []
        self.broken = False

    def produce(self, *args: Any, **options: Any) -> None:
        from confluent_kafka import KafkaException

        if self.broken and len(self._held) >= 5:
            raise KafkaException(self._error)
        if self.broken:
            self._held.append(args)
        else:
            self._producer.produce(*args, **options)

    def poll(self, timeout: float) -> int:
        if self.broken and self._held:
            self._report(self._error)
        return self._producer.poll(timeout)

    def purge(self) -> None:
        from confluent_kafka import KafkaError, Message

        for topic, value, _, partition, on_delivery in self._held:
            message = Message(topic=topic, partition=partition, value=value)
            on_delivery(KafkaError(KafkaError._PURGE_INFLIGHT), message)
        self._held.clear()
        self._producer.purge()

    def __len__(self) -> int:
        return len(self._producer) + len(self._held)


async def test_a_producer_that_nobody_answers_is_replaced(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka can lose its brokers for good. Whether a record that had no answer is on the log, is not known."""
    monkeypatch.setattr(appender, "PATIENCE_S", 0.0)
    topic = cluster.topics.create("own", 1)
    made: list[Producer] = []

    def create(config: Any) -> Producer:
        made.append(Producer(config))
        return made[-1]

    async with Nameless(cluster.connection.bootstrap).open() as way:
        soon = LogSettings(AppendSettings(delivery_timeout_ms=1_000))
        async with KafkaLog(Connection(way.bootstrap), soon, producer_type=create) as log:
            (first,) = await append_all(log, [Outgoing(topic, 0, None, b"first", [])])
            assert isinstance(first, Appended)
            assert len(made) == 1
            way.stand_still()
            (lost,) = await append_all(log, [Outgoing(topic, 0, None, b"lost", [])])
            assert isinstance(lost, AppendUnknown)
            way.go_on()
            way.cut()
            async with asyncio.timeout(30):
                while not isinstance((await append_all(log, [Outgoing(topic, 0, None, b"next", [])]))[0], Appended):
                    pass
            assert len(made) > 1
            at, end = await log.bounds(topic, 0)
            values = [record.value for record in await _read(log, topic, 0, at, end)]
    assert [values[0], values[-1]] == [b"first", b"next"]
