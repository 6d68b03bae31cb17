"""Shared readers: one a partition, from its end on, kept for a while."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiosv3.agents.client.tails import Tails, tasks_of
from aiosv3.schemas.errors import AiosError
from aiosv3.streams.errors import BrokerUnavailable, DataLost
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.testing.broker import UnknownTopic

SECONDS = 30


def record(name: str) -> Record:
    return Record("t", 0, 0, 0, None, None, [("ce_id", name.encode())])


def put(office: Any, *names: str) -> None:
    for name in names:
        office.broker.append(Outgoing("t", 0, None, b"", [("ce_id", name.encode())]))


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        ("t", ["t"]),
        ("t/1/2", ["t/1/2", "t/1", "t"]),
        ("", [""]),
        ("/x", ["/x"]),
        ("a//b", ["a//b", "a/", "a"]),
    ],
)
def test_a_record_may_be_of_every_task_above_it(name: str, tasks: list[str]) -> None:
    assert [task.decode() for task in tasks_of(record(name))] == tasks


async def test_a_reader_begins_at_the_end_and_tells_whom_it_concerns(office: Any) -> None:
    office.broker.create_topic("t", 1)
    put(office, "before")
    tails = Tails(office.link())
    tail = await tails.at("t", 0)
    assert await tails.at("t", 0) is tail
    heard: dict[str, list[bytes | None]] = {"root": [], "child": [], "all": []}
    leave = tail.listen(b"root", lambda r: heard["root"].append(r.header("ce_id")))
    tail.listen(b"root/1", lambda r: heard["child"].append(r.header("ce_id")))
    tail.listen(None, lambda r: heard["all"].append(r.header("ce_id")))
    put(office, "root/1/a", "other", "root/2")
    async with asyncio.timeout(SECONDS):
        await tail.reached(4)
        assert heard == {
            "root": [b"root/1/a", b"root/2"],
            "child": [b"root/1/a"],
            "all": [b"root/1/a", b"other", b"root/2"],
        }
        leave()
        leave()
        put(office, "root/3")
        await tail.reached(5)
    assert (heard["root"][-1], tail.listeners) == (b"root/2", 2)
    await tails.close()


async def test_the_end_of_a_transaction_is_reached_without_a_record(office: Any) -> None:
    office.broker.create_topic("t", 1)
    tail = await Tails(office.link()).at("t", 0)
    heard: list[bytes | None] = []
    tail.listen(None, lambda r: heard.append(r.header("ce_id")))
    office.broker.append_in_transaction(
        [Outgoing("t", 0, None, b"", [("ce_id", b"once")])], office.broker.fence("t", 0)
    )
    end = await tail.end()
    assert end == 2
    async with asyncio.timeout(SECONDS):
        await tail.reached(end)
    assert heard == [b"once"]


async def test_the_end_is_asked_for_once_by_all_who_want_it(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    office.broker.create_topic("t", 1)
    link = office.link()
    tails = Tails(link)
    tail = await tails.at("t", 0)
    asked: list[int] = []
    really = link.log.bounds

    async def bounds(topic: str, partition: int) -> Any:
        asked.append(1)
        return await really(topic, partition)

    monkeypatch.setattr(link.log, "bounds", bounds)
    monkeypatch.setattr(tail, "_reading", tail._reading and tail._reading.cancel() and None)
    first = asyncio.create_task(tail.end())
    await asyncio.sleep(0)
    put(office, "a")
    others = [asyncio.create_task(tail.end()) for _ in range(50)]
    assert (await first, {await other for other in others}) in [(0, {1}), (1, {1})]
    assert len(asked) == 2, "whoever came while it was asked needs a newer answer, all of them the same"
    await tails.close()


async def test_the_past_is_what_is_there_of_it(office: Any) -> None:
    office.broker.create_topic("t", 1)
    put(office, "a", "b", "c")
    office.broker.truncate("t", 0, 1)
    tails = Tails(office.link())
    tail = await tails.at("t", 0)
    assert [one.offset async for one in tail.past(0, 3)] == [1, 2]
    assert [one.offset async for one in tail.past(3, 3)] == []
    await tails.close()


async def test_a_reader_that_nobody_hears_stops_after_a_while(office: Any, until: Any) -> None:
    office.broker.create_topic("t", 1)
    link = office.link()
    tails = Tails(link, linger=0.005)
    tail = await tails.at("t", 0)
    leave = tail.listen(b"x", lambda _: None)
    leave()
    again = tail.listen(b"x", lambda _: None)
    tails._retire(tail)
    assert await tails.at("t", 0) is tail, "somebody came back in time"
    again()
    await until(lambda: not tails._opening)
    assert await tails.at("t", 0) is not tail
    await tails.close()


async def test_a_partition_that_is_not_there_is_asked_for_anew(office: Any) -> None:
    tails = Tails(office.link())
    with pytest.raises(UnknownTopic):
        await tails.at("t", 0)
    office.broker.create_topic("t", 1)
    assert (await tails.at("t", 0)).position == 0
    await tails.close()


class Troubled:
    """A follower whose broker goes away once, and then has deleted what comes next."""

    def __init__(self) -> None:
        self.troubles: list[AiosError] = [BrokerUnavailable("away"), DataLost("t", 0, 0, 5)]

    async def follow(self, topic: str, partition: int, start: int) -> Any:
        for trouble in [self.troubles.pop(0)]:
            raise trouble
        yield []


async def test_a_broker_that_is_away_is_waited_for_and_lost_records_are_not(office: Any) -> None:
    office.broker.create_topic("t", 1)
    link = office.link()
    object.__setattr__(link, "follower", Troubled())
    tail = await Tails(link).at("t", 0)
    told: list[AiosError] = []
    tail.on_failure(told.append)
    async with asyncio.timeout(SECONDS):
        await tail.reached(1)
    assert isinstance(tail.failure, DataLost)
    assert told == [tail.failure]
