"""The newest records and what comes after; on real topics: tests/app/commands/test_tail.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from aiosv3.app import following as module
from aiosv3.app.following import Following
from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.log import Bounds, Record


class FakeMesh:
    """Topics of one partition, of which records can be taken away and to which they can be added."""

    def __init__(self, **topics: list[int]) -> None:
        self.times = topics
        self.broken = 0

    async def topics(self) -> Mapping[str, int]:
        return dict.fromkeys(self.times, 1)

    async def bounds(self, counts: Mapping[str, int]) -> dict[tuple[str, int], Bounds]:
        if self.broken:
            self.broken -= 1
            raise BrokerUnavailable("restarts")
        return {(name, 0): Bounds(0, len(self.times[name])) for name in counts}

    async def between(self, topic: str, partition: int, held: Bounds) -> AsyncIterator[Record]:
        for offset in range(held.start, held.end):
            yield Record(topic, partition, offset, self.times[topic][offset], None, b"", [])


def following(mesh: FakeMesh, **options: Any) -> Following:
    options.setdefault("wanted", lambda _record: True)
    return Following(cast("Any", mesh), cast("Any", mesh), mesh.topics, **options)


def places(records: list[Record]) -> list[tuple[str, int]]:
    return [(record.topic, record.offset) for record in records]


async def test_the_newest_of_all_topics_together_in_the_order_of_time() -> None:
    mesh = FakeMesh(a=[1, 4, 5], b=[2, 3, 9])
    assert places(await following(mesh).newest(3)) == [("a", 1), ("a", 2), ("b", 2)]
    assert places(await following(mesh).newest(0)) == []
    assert len(await following(mesh).newest(None)) == 6


async def test_known_ranges_are_read_whole_and_filtered() -> None:
    found = following(FakeMesh(a=[1, 2, 3]), wanted=lambda record: record.timestamp != 2)
    assert places(await found.newest(None, {("a", 0): Bounds(1, 3)})) == [("a", 2)]
    assert found.positions == {("a", 0): 3}


async def test_what_comes_and_topics_that_appear_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL_S", 0.001)
    mesh = FakeMesh(a=[1])
    found = following(mesh)
    await found.newest(0)
    mesh.times["a"].append(2)
    mesh.times["new"] = [3]
    after = found.after()
    async with asyncio.timeout(30):
        assert places([await anext(after), await anext(after)]) == [("a", 1), ("new", 0)]
        mesh.broken = 3
        mesh.times["new"].append(4)
        assert places([await anext(after)]) == [("new", 1)]


async def test_a_broker_that_stays_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL_S", 0.001)
    monkeypatch.setattr(module, "_PATIENCE_S", 0.05)
    mesh = FakeMesh(a=[1])
    mesh.broken = 1_000_000
    async with asyncio.timeout(30):
        with pytest.raises(BrokerUnavailable):
            await anext(following(mesh).after())
