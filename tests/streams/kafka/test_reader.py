"""Range readers where no broker is needed: what a leader that moves does to them."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from aiosv3.streams.errors import BrokerUnavailable, DataLost
from aiosv3.streams.kafka import Connection, KafkaRefused, reader
from aiosv3.streams.kafka.reader import Place, RangeReader, Readers


class Moving:
    """A consumer that finds no leader ``times`` times, once in each of the two ways in which clients say so."""

    def __init__(self, times: int) -> None:
        self._times = times
        self.looked_up = 0

    def offsets_for_times(self, places: list[TopicPartition], timeout: float) -> list[Any]:
        self._times -= 1
        if self._times >= 0:
            error = KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)
            if self._times % 2:
                raise KafkaException(error)
            return [type("Answer", (), {"error": error, "offset": -1})]
        return [type("Answer", (), {"error": None, "offset": 7})]

    def list_topics(self, topic: str, timeout: float) -> None:
        self.looked_up += 1
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def poll(self, timeout: float) -> None:
        return None


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> Any:
    def reader_of(times: int) -> tuple[RangeReader, Moving]:
        consumer = Moving(times)
        monkeypatch.setattr(reader, "Consumer", lambda _config: consumer)
        return RangeReader(Connection("nowhere:1"), "read_uncommitted", 1.0, 10), consumer

    return reader_of


def test_a_leader_that_moves_is_looked_up_and_asked_again(moved: Any) -> None:
    found, consumer = moved(2)
    assert found.bounds("t", 0) == (7, 7)
    assert consumer.looked_up == 2


def test_a_partition_that_stays_without_a_leader_is_to_be_tried_later(
    moved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a refusal: a refusal would stop the partition for good."""
    monkeypatch.setattr(reader, "_APPEAR", 0.0)
    found, _ = moved(1_000)
    with pytest.raises(BrokerUnavailable, match="leader"):
        found.bounds("t", 0)


class Deaf(Moving):
    """A consumer that knows no partition. ``known``: what a broker says when asked, None: none answers."""

    def __init__(self, known: dict[str, Any] | None) -> None:
        super().__init__(0)
        self._known = known

    def offsets_for_times(self, places: list[TopicPartition], timeout: float) -> list[Any]:
        raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))

    def list_topics(self, topic: str, timeout: float) -> Any:
        if self._known is None:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return type("Listed", (), {"topics": self._known})

    def poll(self, timeout: float) -> Any:
        return None


@pytest.mark.parametrize(
    ("known", "said"),
    [(None, BrokerUnavailable), ({"t": type("T", (), {"partitions": {0: 0}})}, BrokerUnavailable), ({}, KafkaRefused)],
)
def test_only_a_broker_can_say_that_a_partition_is_not_there(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, Any] | None, said: type[Exception]
) -> None:
    """A client whose broker is down says so of any: that passes, and nobody may end over it."""
    monkeypatch.setattr(reader, "_APPEAR", 0.0)
    monkeypatch.setattr(reader, "Consumer", lambda _config: Deaf(known))
    found = RangeReader(Connection("nowhere:1"), "read_uncommitted", 1.0, 10)
    with pytest.raises(said):
        found.bounds("t", 0)


class Ended(Moving):
    """A consumer whose partitions are read to their end, and what it was asked for, in order."""

    def __init__(self) -> None:
        super().__init__(0)
        self.asked: list[str] = []

    def list_topics(self, topic: str, timeout: float) -> None:
        self.asked.append(f"look up {topic}")

    def assign(self, places: list[TopicPartition]) -> None:
        self.asked.append(f"read {places[0].topic}[{places[0].partition}]")

    def unassign(self) -> None:
        return None

    def poll(self, timeout: float) -> Any:
        error = KafkaError(KafkaError._PARTITION_EOF)
        return type("End", (), {"error": lambda _: error, "offset": lambda _: 9})()

    def consume(self, count: int, timeout: float) -> list[Any]:
        return []


def test_a_topic_is_looked_up_before_it_is_read_the_first_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Left to itself, the client asks for the leaders of topics that it does not know once a second."""
    consumer = Ended()
    monkeypatch.setattr(reader, "Consumer", lambda _config: consumer)
    found = RangeReader(Connection("nowhere:1"), "read_uncommitted", 1.0, 10)
    for place in (Place("a", 0, 0), Place("a", 1, 0), Place("b", 0, 0)):
        assert found.batch(place, 5) == ([], 5)
    assert consumer.asked == ["look up a", "read a[0]", "read a[1]", "look up b", "read b[0]"]


async def test_a_reader_that_reached_no_broker_is_not_used_again() -> None:
    """librdkafka can lose its brokers for good; who is told anything else by a broker goes on with the same client."""
    made: list[_Reader] = []

    def create() -> Any:
        made.append(_Reader())
        return made[-1]

    readers = Readers(create, 1)
    for failure in (DataLost("tasks", 0, 1, 2), BrokerUnavailable("none answered"), BrokerUnavailable("nor now")):
        with pytest.raises(type(failure)):
            await readers.ask(partial(_fail, failure))
    assert await readers.ask(lambda reader: made.index(cast("_Reader", reader))) == 2
    assert [reader.gone for reader in made] == [True, True, False]
    await readers.close()


class _Reader:
    at = None
    gone = False

    def let_go(self) -> None:
        self.gone = True

    def close(self) -> None:
        assert not self.gone


def _fail(failure: Exception, _: object) -> None:
    raise failure
