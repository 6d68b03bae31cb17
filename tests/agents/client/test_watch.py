"""What is heard of one task, in which order, from where; and what cannot be read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiosv3.agents.client.folding import Folding
from aiosv3.agents.client.tails import Tails
from aiosv3.agents.client.watch import DELTAS, JOURNAL, Ear, Heard, Place, Seeing, places_of
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.answers import journal_outgoing
from aiosv3.streams.errors import DataLost
from aiosv3.streams.log import Outgoing, Record

TASK = TaskHandle("a", 1, "t")
SECONDS = 30


@pytest.fixture
async def tails(office: Any) -> Any:
    office.create_topics("a")
    made = Tails(office.link())
    yield made
    await made.close()


def journaled(office: Any, task: str = "t") -> None:
    record = JournalRecord(task, 0, None, None, JournalKind.STARTED, Outcome.OK, code_version="v1")
    office.broker.append(journal_outgoing(office.codec, office.topics.journal("a"), 1, record, b"test"))


async def heard(ear: Ear, count: int) -> list[tuple[str, int]]:
    async with asyncio.timeout(SECONDS):
        found = [await ear.heard.get() for _ in range(count)]
    return [(one.place.source, one.record.offset) for one in found if isinstance(one, Heard)]


async def test_a_task_is_seen_in_its_journal_all_questions_and_its_deltas(tails: Tails) -> None:
    places = [(place.source, place.partition) for place in await places_of(tails.link, TASK, (2,))]
    assert places == [("j", 1), ("a", 0), ("a", 1), ("a", 2), ("d", 2)]
    assert len(await places_of(tails.link, TASK, None)) == 7
    assert len(await places_of(tails.link, TASK, ())) == 4


async def test_the_past_comes_by_its_time_and_nothing_is_heard_twice(office: Any, tails: Tails) -> None:
    now = 0.0
    office.broker.clock = lambda: now
    for step in ("x", "y"):
        now += 1
        office.shows("t", "text", 0, step=step)
        now += 1
        journaled(office)
    office.shows("other", "text", 0)
    places = [place for place in await places_of(tails.link, TASK, (0,)) if place.source != "a"]
    ear = Ear(tails, TASK, places)
    await ear.open({})
    journaled(office)
    assert await heard(ear, 5) == [("d", 0), ("j", 0), ("d", 1), ("j", 1), ("j", 2)]
    await ear.rest()
    assert ear.heard.empty()
    ear.close()


async def test_a_moment_and_positions_say_where_to_begin(office: Any, tails: Tails) -> None:
    now = 100.0
    office.broker.clock = lambda: now
    journaled(office)
    office.shows("t", "a", 0)
    now = 200.0
    journaled(office)
    office.shows("t", "b", 1)
    places = [Place(JOURNAL, office.topics.journal("a"), 1), Place(DELTAS, office.topics.deltas(), 0)]
    ear = Ear(tails, TASK, places)
    await ear.open({(DELTAS, 0): 0}, since=150_000)
    assert ear.positions == {(JOURNAL, 1): 1, (DELTAS, 0): 0}
    assert sorted(await heard(ear, 3)) == [("d", 0), ("d", 1), ("j", 1)]
    ear.close()


async def test_a_cursor_may_be_ahead_of_this_reader(office: Any, tails: Tails) -> None:
    """It comes from another process, which has read further."""
    topic = office.topics.journal("a")
    ear = Ear(tails, TASK, [Place(JOURNAL, topic, 1)])
    await ear.open({(JOURNAL, 1): 2})
    tail = await tails.at(topic, 1)
    tail._tell([Record(topic, 1, offset, 0, b"t", b"", [("ce_id", b"t/started")]) for offset in range(4)])
    assert await heard(ear, 2) == [("j", 2), ("j", 3)]
    assert ear.heard.empty()
    ear.close()


async def test_what_stops_the_reading_of_the_past_is_told(office: Any, tails: Tails) -> None:
    journaled(office)
    ear = Ear(tails, TASK, [Place(JOURNAL, office.topics.journal("a"), 1)])
    tail = await tails.at(office.topics.journal("a"), 1)

    async def lost(start: int, end: int) -> Any:
        if end >= start:
            raise DataLost(tail.topic, 1, 0, 5)
        yield

    tail.past = lost  # type: ignore[method-assign]
    await ear.open({})
    seeing = Seeing(tails.link, TASK, ear.positions, Folding())
    with pytest.raises(DataLost):
        await seeing.take(await ear.heard.get())
    ear.close()


async def test_what_cannot_be_read_is_passed_over(office: Any, tails: Tails) -> None:
    seeing = Seeing(tails.link, TASK, {}, Folding())
    place = Place(DELTAS, office.topics.deltas(), 0)
    for value in (b"poison", b"\0\x7f\xff\xff\xff rest", None):
        office.broker.append(Outgoing(place.topic, 0, b"t/1", value, [("ce_id", b"t/1/0.0")]))
    for record in office.of(place.topic):
        assert await seeing.take(Heard(place, record)) == []
    assert seeing.cursor == "d0-3"


async def test_the_journal_of_another_task_is_not_of_this_one(office: Any, tails: Tails) -> None:
    """An agent that calls itself has its child in the same journal, perhaps."""
    journaled(office, "t/1")
    (record,) = office.of(office.topics.journal("a"))
    seeing = Seeing(tails.link, TASK, {}, Folding())
    assert await seeing.take(Heard(Place(JOURNAL, record.topic, 1), record)) == []
