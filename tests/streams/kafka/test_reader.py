"""Range readers where no broker is needed: what a leader that moves does to them."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.kafka import Connection, reader
from aiosv3.streams.kafka.reader import RangeReader


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
