"""Decisions found on the log and made again, on the log in memory."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from aiosv3.app.decisions import decisions_of, replayed
from aiosv3.app.reading import Reading
from aiosv3.router.pools import Pool, PoolTable, Price
from aiosv3.router.router import Router
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.compiling import compiled
from aiosv3.router.routing.file import parse_routing
from aiosv3.router.routing.versions import routing_version
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import GRANT, ROUTE, Clearance, Grant, Route
from aiosv3.schemas.records import Decision
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.effector import Request
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.tenure import appended
from aiosv3.streams.testing import MemoryBroker, MemoryLog

NOW = 1_750_000_000_000
TOPICS = Topics()
POOLS = [
    Pool("cheap", "openai", "s", Clearance.INTERNAL, Price(100_000, 400_000), quality=0.3),
    Pool("good", "openai", "l", Clearance.INTERNAL, Price(3_000_000, 15_000_000), quality=0.9),
]
POLICY = routing_version(parse_routing("rules: [{name: all, max_usd: 1.0}]")[0], NOW)


class OnePartition(Reading):
    async def partitions(self, topic: str) -> int:
        del topic
        return 1


class World:
    """A router and its two topics."""

    def __init__(self) -> None:
        broker = MemoryBroker()
        for topic in (TOPICS.prompts(), TOPICS.decisions()):
            broker.create_topic(topic, 1)
        self.log, self.codec, self.book = MemoryLog(broker, "test"), Codec(SchemaStore()), PolicyBook()
        self.book.apply(POLICY)
        self.router = Router(TOPICS, self.codec, POOLS, PoolTable(), lambda: NOW, policies=self.book)
        mesh: Any = SimpleNamespace(log=self.log, codec=self.codec, topics=TOPICS)
        self.reading = OnePartition(mesh)
        self.known = PolicyBook()
        self.known.apply(POLICY)
        self.known.apply(self.router.outlook.record(NOW))

    async def ask(self, name: str, complexity: float = 0.2, exp: int | None = None, change: Any = None) -> None:
        """A request and the decision on it, as ``change`` makes it."""
        grant = Grant("t", name, Clearance.PUBLIC, exp=exp)
        headers = [
            ("ce_id", f"{name}/1".encode()),
            (GRANT, grant.encode()),
            (ROUTE, Route("a", complexity, 100, 100).encode()),
        ]
        stood = await appended(self.log, Outgoing(TOPICS.prompts(), 0, b"k", b"value", headers))
        request = self.router.read(Record(TOPICS.prompts(), 0, stood.offset, NOW, b"k", b"value", headers))
        assert isinstance(request, Request)
        answer = self.router.work(request, 1)
        assert isinstance(answer, Outgoing)
        if change is not None:
            answer = answer._replace(
                value=self.codec.encode(change(self.codec.decode_as(Decision, answer.value or b"")))
            )
        await appended(self.log, answer._replace(topic=TOPICS.decisions(), partition=0))


@pytest.fixture
def world() -> World:
    return World()


async def test_a_tasks_decisions(world: World) -> None:
    await world.ask("t1")
    await world.ask("t10")
    marker = Outgoing(TOPICS.decisions(), 0, b"k", None, [("ce_id", b"t1/9"), ("ce_type", b"aiosv3.owner")])
    await appended(world.log, marker)
    garbage = Outgoing(TOPICS.decisions(), 0, b"k", b"x", [("ce_id", b"t1/9"), ("ce_type", b"aiosv3.decision")])
    await appended(world.log, garbage)
    found = await decisions_of(world.reading, "t1")
    assert [one.decision.request_id for one in found] == ["t1/1"]
    assert (found[0].partition, found[0].offset) == (0, 0)


async def test_every_decision_comes_out_as_it_was(world: World) -> None:
    for number in range(5):
        await world.ask(f"t{number}", number / 5)
    await world.ask("late", exp=NOW)
    result = await replayed(world.reading, world.known, 0)
    assert (result.same, result.different, result.not_chosen, result.lost) == (5, 0, 1, {})
    assert result.cost == result.cost_before > 0


async def test_the_first_that_differ_are_named(world: World) -> None:
    await world.ask("t1")
    await world.ask("t2", change=lambda decision: replace(decision, pool="good"))
    result = await replayed(world.reading, world.known, 0)
    assert (result.same, result.different) == (1, 1)
    (example,) = result.to_json()["examples"]
    assert (example["request_id"], example["partition"], example["offset"]) == ("t2/1", 0, 1)
    assert example["differences"] == [{"field": "pool", "recorded": "good", "now": "cheap"}]


async def test_what_cannot_be_made_again_says_why(world: World) -> None:
    await world.ask("t1", change=lambda decision: replace(decision, policy_version="gone"))
    await world.ask("t2", change=lambda decision: replace(decision, pools_version="gone"))
    await world.ask("t3", change=lambda decision: replace(decision, input_offset=99))
    result = await replayed(world.reading, world.known, 0)
    assert result.lost == {
        "routing policy gone is not on the log": 1,
        "table of pools 'gone' is not on the log": 1,
        "its request is gone from the log": 1,
    }


async def test_another_policy_is_a_forecast(world: World) -> None:
    await world.ask("t1")
    await world.ask("t2", 0.95)
    other = compiled(parse_routing("rules: [{name: cheapest, not_pools: good}]")[0])
    result = await replayed(world.reading, world.known, 0, other)
    assert (result.same, result.different) == (1, 1), "the same pool by another rule is no difference"
    assert result.cost < result.cost_before


async def test_many_are_made_again_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiosv3.app.decisions._CHUNK", 2)
    for number in range(5):
        await world.ask(f"t{number}")
    assert (await replayed(world.reading, world.known, 0)).same == 5
