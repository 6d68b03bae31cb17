"""How records are handed to librdkafka: together, in order, and without waiting for a clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from aiosv3.streams.kafka import Connection
from aiosv3.streams.kafka.appender import Appender, AppendSettings
from aiosv3.streams.log import Outgoing


class Written:
    """What an acknowledgement names."""

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7

    def timestamp(self) -> tuple[int, int]:
        return 1, 1


class Kept:
    """A producer that keeps what it is given, up to ``room`` records, until it is told to acknowledge them."""

    def __init__(self, _config: dict[str, object]) -> None:
        self.values: list[int] = []
        self.reports: list[Callable[[None, Written], None]] = []
        self.room = 10_000
        self.refuses = False

    def produce(self, _topic: str, value: bytes, _key: Any, _partition: int, report: Any, **_options: Any) -> None:
        if self.refuses:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        if len(self.values) >= self.room:
            raise BufferError
        self.values.append(int(value))
        self.reports.append(report)

    def acknowledge(self, count: int) -> None:
        """The oldest ones; the appender's thread hears of it."""
        reports, self.reports = self.reports[:count], self.reports[count:]
        for report in reports:
            report(None, Written())

    def poll(self, _timeout: float) -> int:
        return 0

    def purge(self) -> None:
        pass

    def __len__(self) -> int:
        return 0


@pytest.fixture
async def made() -> AsyncIterator[tuple[Appender, Kept]]:
    kept: list[Kept] = []

    def make(config: dict[str, object]) -> Any:
        kept.append(Kept(config))
        return kept[-1]

    appender = Appender(Connection("nowhere:9"), AppendSettings(), asyncio.get_running_loop(), producer_type=make)
    yield appender, kept[0]
    await appender.close(0)


def append(appender: Appender, *numbers: int) -> None:
    for number in numbers:
        appender.append(Outgoing("t", 0, None, b"%d" % number, []), lambda _ack: None)


async def has(kept: Kept, *numbers: int) -> None:
    async with asyncio.timeout(30):
        while kept.values != list(numbers):
            await asyncio.sleep(0)


async def test_what_one_turn_appends_goes_out_together_at_its_end(made: tuple[Appender, Kept]) -> None:
    appender, kept = made
    append(appender, 1, 2, 3)
    assert kept.values == []
    await asyncio.sleep(0)
    assert kept.values == [1, 2, 3]


async def test_what_comes_while_others_are_on_their_way_goes_out_together_when_these_are_there(
    made: tuple[Appender, Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiosv3.streams.kafka.appender._HOLD_S", 3_600.0)
    appender, kept = made
    append(appender, 1, 2)
    await has(kept, 1, 2)
    acknowledged = asyncio.Event()
    appender.append(Outgoing("t", 0, None, b"3", []), lambda _ack: acknowledged.set())
    append(appender, 4)
    kept.acknowledge(1)
    for _ in range(1_000):
        await asyncio.sleep(0)
    assert kept.values == [1, 2]
    kept.acknowledge(1)
    await has(kept, 1, 2, 3, 4)
    kept.acknowledge(2)
    await asyncio.wait_for(acknowledged.wait(), 30)
    append(appender, 5)
    await has(kept, 1, 2, 3, 4, 5)


async def test_a_partition_that_does_not_answer_holds_nothing_up_for_long(made: tuple[Appender, Kept]) -> None:
    appender, kept = made
    append(appender, 1)
    await has(kept, 1)
    append(appender, 2)
    await asyncio.sleep(0)
    assert kept.values == [1]
    await has(kept, 1, 2)


async def test_what_is_refused_is_on_no_way(made: tuple[Appender, Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiosv3.streams.kafka.appender._HOLD_S", 3_600.0)
    appender, kept = made
    kept.refuses = True
    append(appender, 1)
    await asyncio.sleep(0)
    kept.refuses = False
    append(appender, 2)
    await has(kept, 2)


async def test_a_long_turn_does_not_keep_everything_to_its_end(made: tuple[Appender, Kept]) -> None:
    appender, kept = made
    append(appender, *range(600))
    assert kept.values == list(range(512))
    await asyncio.sleep(0)
    assert kept.values == list(range(600))


async def test_order_is_kept_behind_a_full_queue(made: tuple[Appender, Kept]) -> None:
    appender, kept = made
    kept.room = 300
    append(appender, *range(400))
    await asyncio.sleep(0)
    assert kept.values == list(range(300))
    kept.room = 10_000
    append(appender, 400)
    appender._drain()
    assert kept.values == list(range(401))
