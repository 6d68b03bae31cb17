"""What is only shown: sent at once or never, counted either way, and no trouble to anybody."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.deltas import Delta, DeltaKind
from aiosv3.schemas.headers import CE_ID, CE_SUBJECT, CE_TYPE
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.deltas import DeltaSender
from aiosv3.streams.errors import AppendFailed, AppendUnknown
from aiosv3.streams.log import Appended, Done, Log, Outgoing
from aiosv3.streams.metrics import MetricsCatalogue

TOPIC = "aios.deltas"
PIECE = Delta("root", "root/1", "writer", "2", 1, 40, 0, DeltaKind.TOKEN, content="Once")


@dataclass
class Silent:
    """A log that acknowledges nothing until it is told to."""

    sent: list[tuple[Outgoing, Done]] = field(default_factory=list)

    def append(self, record: Outgoing, done: Done) -> None:
        self.sent.append((record, done))

    def answer(self, ack: Appended | AppendFailed) -> None:
        for _, done in self.sent:
            done(ack)
        self.sent.clear()


@pytest.fixture
def log() -> Silent:
    return Silent()


@pytest.fixture
def catalogue() -> MetricsCatalogue:
    return MetricsCatalogue()


@pytest.fixture
def sender(log: Silent, catalogue: MetricsCatalogue) -> DeltaSender:
    port: Log = log  # type: ignore[assignment] # only what a sender needs
    return DeltaSender(port, Codec(SchemaStore()), TOPIC, 3, catalogue.processor("p"))


def counted(catalogue: MetricsCatalogue, name: str) -> float | None:
    return catalogue.registry.get_sample_value(f"aiosv3_{name}_total", {"processor": "p"})


def test_a_delta_is_an_event_of_its_own_and_names_its_tree_where_no_value_is_read(
    sender: DeltaSender, log: Silent
) -> None:
    sender.send(PIECE, 2, "root/1/2", b"prompts.p/0/7")
    sender.send(replace(PIECE, sequence=1), 2, "root/1/2", b"prompts.p/0/7")
    first, second = (record for record, _ in log.sent)
    assert (first.topic, first.partition, first.key) == (TOPIC, 2, b"root/1/2")
    assert dict(first.headers)[CE_SUBJECT] == b"root"
    assert dict(first.headers)[CE_TYPE] == b"aiosv3.delta"
    assert dict(first.headers)[CE_ID] != dict(second.headers)[CE_ID]
    assert Codec(SchemaStore()).decode_as(Delta, first.value or b"") == PIECE


def test_only_a_wish_for_a_partition_that_there_is_can_be_met(sender: DeltaSender, catalogue: MetricsCatalogue) -> None:
    assert [sender.reaches(partition) for partition in (None, 0, 2)] == [False, True, True]
    assert counted(catalogue, "deltas_misaddressed") == 0
    assert [sender.reaches(partition) for partition in (3, -1)] == [False, False]
    assert counted(catalogue, "deltas_misaddressed") == 2


def test_what_a_broker_does_not_take_in_time_does_not_pile_up(
    sender: DeltaSender, log: Silent, catalogue: MetricsCatalogue
) -> None:
    for sequence in range(1_500):
        sender.send(replace(PIECE, sequence=sequence), 0, "r", b"s")
    assert len(log.sent) == 1_000
    assert counted(catalogue, "deltas_dropped") == 500
    log.answer(Appended(0, 1, 1))
    assert counted(catalogue, "deltas") == 1_000
    sender.send(replace(PIECE, sequence=1_500), 0, "r", b"s")
    assert len(log.sent) == 1, "there is room again"


def test_nor_do_few_large_ones(sender: DeltaSender, log: Silent) -> None:
    large = replace(PIECE, content="x" * 3_000_000)
    sender.send(large, 0, "r", b"s")
    sender.send(large, 0, "r", b"s")
    assert len(log.sent) == 1
    log.answer(AppendUnknown("nothing came"))
    sender.send(PIECE, 0, "r", b"s")
    sender.send(large, 0, "r", b"s")
    assert len(log.sent) == 2, "there is room again"


def test_what_fails_is_counted_and_no_more(sender: DeltaSender, log: Silent, catalogue: MetricsCatalogue) -> None:
    sender.send(replace(PIECE, content="half a character: \ud83d"), 0, "r", b"s")
    assert not log.sent
    sender.send(PIECE, 0, "r", b"s")
    log.answer(AppendFailed("no such topic"))
    assert counted(catalogue, "deltas_dropped") == 2
