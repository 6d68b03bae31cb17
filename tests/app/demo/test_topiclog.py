"""Reading topics to their end, and decoding one run's records."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from aiosv3.app.demo import topiclog
from aiosv3.app.demo.licences import LicenceText, Verdict
from aiosv3.app.demo.topiclog import Decoder, Raw, TopicLog, TopicMissing, open_log
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.records import Completion, Decision
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics


class Message:
    """What a consumer hands out."""

    def __init__(self, partition: int, offset: int, error: object = None) -> None:
        self._at = partition, offset
        self._error = error

    def error(self) -> object:
        return self._error

    def partition(self) -> int:
        return self._at[0]

    def offset(self) -> int:
        return self._at[1]

    def timestamp(self) -> tuple[int, int]:
        return 2, 1_000 + self._at[1]

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return [("ce_id", b"r.a"), ("ce_id", b"second"), ("empty", None)] if self._at[1] % 2 else None

    def value(self) -> bytes:
        return b"value"


class Consumer:
    """Hands out batches; ``ends`` are the end offsets of its partitions."""

    def __init__(self, ends: dict[int, int] | None, *batches: list[Message]) -> None:
        self._ends = ends
        self._batches = list(batches)
        self.positions: dict[int, int] = {}
        self.closed = self.refreshed = False

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.positions = {one.partition: -1001 for one in partitions}

    def consume(self, number: int, timeout: float) -> list[Message]:
        batch = self._batches.pop(0) if self._batches else []
        for message in batch:
            if message.error() is None:
                self.positions[message.partition()] = message.offset() + 1
        return batch

    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        return [TopicPartition(one.topic, one.partition, self.positions[one.partition]) for one in partitions]

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int] | None:
        return None if self._ends is None else (0, self._ends.get(partition.partition, 0))

    def list_topics(self, topic: str, timeout: float) -> None:
        self.refreshed = True

    def close(self) -> None:
        self.closed = True


def test_to_the_end_of_every_partition() -> None:
    consumer = Consumer({0: 2, 1: 1}, [Message(0, 0)], [], [Message(1, 0), Message(0, 1)])
    with TopicLog(consumer, "t", 3) as log:
        raws = log.to_end()
    assert [(raw.partition, raw.offset, raw.timestamp) for raw in raws] == [(0, 0, 1_000), (1, 0, 1_000), (0, 1, 1_001)]
    assert consumer.closed


def test_an_end_behind_records_that_nobody_sees() -> None:
    """Control records of transactions move the position without a message."""
    consumer = Consumer({0: 3}, [Message(0, 0)])
    log = TopicLog(consumer, "t", 1)
    consumer.positions[0] = 3
    consume = consumer.consume

    def and_beyond(number: int, timeout: float) -> list[Message]:
        batch = consume(number, timeout)
        consumer.positions[0] = 3
        return batch

    consumer.consume = and_beyond  # type: ignore[method-assign]
    assert len(log.to_end()) == 1


def test_errors_are_no_records() -> None:
    log = TopicLog(Consumer({}, [Message(0, 0, error="gone"), Message(0, 1)]), "t", 1)
    assert [raw.offset for raw in log.fresh(0.0)] == [1]
    assert log.fresh(0.0) == []


def test_a_broker_that_says_nothing() -> None:
    with pytest.raises(TopicMissing, match="where t ends"):
        TopicLog(Consumer(None), "t", 1).to_end()


def test_a_partition_without_a_leader_yet_is_asked_again() -> None:
    consumer = Consumer({0: 1}, [Message(0, 0)])
    ask = consumer.get_watermark_offsets

    def once(partition: TopicPartition, timeout: float) -> tuple[int, int] | None:
        consumer.get_watermark_offsets = ask  # type: ignore[method-assign]
        raise KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))

    consumer.get_watermark_offsets = once  # type: ignore[method-assign]
    assert len(TopicLog(consumer, "t", 1).to_end()) == 1
    assert consumer.refreshed


def test_a_topic_that_is_never_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1_000, 4))
    monkeypatch.setattr("aiosv3.app.demo.topiclog.time.monotonic", lambda: next(clock))
    with pytest.raises(TopicMissing, match="within 10 s"):
        TopicLog(Consumer({0: 5}), "t", 1).to_end()


def test_headers() -> None:
    raw = TopicLog(Consumer({}, [Message(0, 1)]), "t", 1).fresh(0.0)[0]
    assert (raw.header("ce_id"), raw.header("empty"), raw.header("none")) == ("r.a", "", "")


@pytest.fixture
def decoder(tmp_path: Path) -> Any:
    lock = tmp_path / "schemas.lock.json"
    made = Decoder(Topics(), "r", lock=lock, registry="http://127.0.0.1:9")
    # The agent's worker registers its schemas after the demo has opened the file.
    store = SchemaStore(lock)
    schemas = AgentSchemas("licences", LicenceText, Verdict)
    asyncio.run(schemas.register(store))
    yield made, schemas, Codec(store)
    made.close()


def raw(value: bytes | None, name: str = "r.a") -> Raw:
    return Raw(0, 1, 2, (("ce_id", name.encode()), ("ce_dataclassification", b"public")), value)


def test_results_of_this_run(decoder: Any, runs: Any) -> None:
    reading, schemas, codec = decoder
    result = runs.result("a").value
    values = [schemas.encode_result(codec, result)]
    (entry,) = reading.results([raw(values[0]), raw(None)])
    assert entry.value == result
    assert (entry.offset, entry.timestamp) == (1, 2)


def test_records_of_other_runs_are_passed_over(decoder: Any, runs: Any) -> None:
    reading, _, codec = decoder
    other = Decoder(Topics(), "other", lock=None, registry=None)
    try:
        assert other.records(Decision, [raw(codec.encode(runs.decision("a").value))]) == []
        assert other.tasks([raw(b"{}")]) == []
    finally:
        other.close()
    assert (
        reading.records(Completion, [raw(codec.encode(runs.completion("a").value)), raw(None)])[0].value.pool == "local"
    )
    (task,) = reading.tasks([raw(b"{}", "r.some.thing")])
    assert (task.value.distribution, task.value.clearance) == ("some.thing", "public")


@pytest.mark.kafka
def test_a_real_topic(kafka_topics: Any) -> None:
    topic = kafka_topics.create("log", partitions=2)
    producer = Producer({"bootstrap.servers": kafka_topics.bootstrap})
    with open_log(kafka_topics.bootstrap, topic, wait_s=10) as log:
        assert log.to_end() == []
        for number in range(20):
            producer.produce(topic, str(number), partition=number % 2, headers=[("ce_id", str(number).encode())])
        assert producer.flush(10) == 0
        assert sorted(int(raw.header("ce_id")) for raw in log.to_end()) == list(range(20))


@pytest.mark.kafka
def test_a_topic_that_does_not_come(kafka: str, topic_prefix: str) -> None:
    with pytest.raises(TopicMissing, match="there is no topic"):
        open_log(kafka, topic_prefix + "none")


def test_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topiclog, "_TIMEOUT_S", 0.2)
    with pytest.raises(TopicMissing, match="cannot be asked"):
        open_log("127.0.0.1:9", "t")
