"""How records are handed to librdkafka: together, in order, and without waiting for a clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aiosv3.streams.kafka import Connection
from aiosv3.streams.kafka.appender import Appender, AppendSettings
from aiosv3.streams.log import Outgoing


class Kept:
    """A producer that keeps what it is given, up to ``room`` records; nothing is ever acknowledged."""

    def __init__(self, _config: dict[str, object]) -> None:
        self.values: list[int] = []
        self.room = 10_000

    def produce(self, _topic: str, value: bytes, *_rest: Any, **_options: Any) -> None:
        if len(self.values) >= self.room:
            raise BufferError
        self.values.append(int(value))

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


async def test_what_one_turn_appends_goes_out_together_at_its_end(made: tuple[Appender, Kept]) -> None:
    appender, kept = made
    append(appender, 1, 2, 3)
    assert kept.values == []
    await asyncio.sleep(0)
    assert kept.values == [1, 2, 3]
    append(appender, 4)
    await asyncio.sleep(0)
    assert kept.values == [1, 2, 3, 4]


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
