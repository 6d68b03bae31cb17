"""Books of results: who waits, what is remembered, and how often the past is read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiosv3.agents.client.errors import ClientClosed
from aiosv3.agents.client.results import Books, Places, ResultBook
from aiosv3.agents.client.tails import Tails
from aiosv3.streams.errors import DataLost
from aiosv3.streams.log import Outgoing

SECONDS = 30
TOPIC = "aios.results.a"


class Shelf:
    def __init__(self, office: Any) -> None:
        self.broker = office.broker
        self.link = office.link()
        self.tails = Tails(self.link)

    def put(self, *names: str) -> None:
        for name in names:
            self.broker.append(Outgoing(TOPIC, 0, None, name.encode(), [("ce_id", name.encode())]))

    async def book(self, **settings: Any) -> ResultBook:
        return ResultBook(await self.tails.at(TOPIC, 0), self.tails, **settings)

    def passes(self) -> list[tuple[int, int]]:
        """Ranges that were read below where the reader began."""
        return [(start, end) for _, _, start, end in self.link.log.ranges if end - start > 1]


@pytest.fixture
async def shelf(office: Any) -> Any:
    office.create_topics("a")
    made = Shelf(office)
    yield made
    await made.tails.close()


def test_places_are_those_of_the_first_record_and_of_the_newest_ids() -> None:
    places = Places(5, room=2)
    for offset, name in enumerate((b"a", b"a", b"b"), 5):
        places.add(name, offset)
    assert (places.find(b"a"), places.find(b"b"), places.low, len(places)) == (5, 7, 5, 2)
    places.add(b"c", 8)
    assert (places.find(b"a"), places.find(b"c"), places.low, len(places)) == (None, 8, 6, 2)


def test_what_follows_does_not_replace_what_came_first() -> None:
    earlier, later = Places(0), Places(3)
    for place, offset in ((earlier, 1), (later, 3)):
        place.add(b"a", offset)
    later.add(b"b", 4)
    earlier.follow(later)
    assert (earlier.find(b"a"), earlier.find(b"b"), earlier.low) == (1, 4, 0)


async def test_everybody_who_waits_for_a_result_gets_its_first_record(shelf: Any) -> None:
    book = await shelf.book()
    waits = [asyncio.create_task(book.wait("t", None, fresh=True)) for _ in range(3)]
    await asyncio.sleep(0)
    shelf.put("other", "t", "t")
    async with asyncio.timeout(SECONDS):
        assert [(await wait).offset for wait in waits] == [1, 1, 1]
        assert (await book.wait("t", None, fresh=True)).offset == 1


async def test_the_past_is_read_once_however_many_ask(shelf: Any) -> None:
    shelf.put(*(f"t{n}" for n in range(50)), "t7")
    book = await shelf.book()
    async with asyncio.timeout(SECONDS):
        found = await asyncio.gather(*(book.wait(f"t{n}", None) for n in range(50)))
    assert [record.offset for record in found] == list(range(50))
    assert shelf.passes() == [(0, 51)]
    assert (await book.find("t7", None)).offset == 7
    assert await book.find("never", None) is None
    assert shelf.passes() == [(0, 51)], "what was passed is remembered"


async def test_a_result_older_than_what_is_remembered_is_found_by_reading_again(shelf: Any) -> None:
    shelf.put(*(f"t{n}" for n in range(20)))
    book = await shelf.book(room=5)
    assert (await book.find("t19", None)).offset == 19
    assert (await book.find("t3", None)).offset == 3
    assert shelf.passes() == [(0, 20), (0, 15)]
    assert (await book.find("t17", None)).offset == 17
    assert shelf.passes() == [(0, 20), (0, 15)]


async def test_a_task_that_goes_on_is_not_looked_for_twice_in_what_has_been_read(shelf: Any) -> None:
    """More results than there is room for, and somebody who polls."""
    shelf.put(*(f"t{n}" for n in range(20)))
    book = await shelf.book(room=5)
    for _ in range(3):
        assert await book.find("open", None) is None
    assert shelf.passes() == [(0, 20)]
    shelf.put("open", *(f"u{n}" for n in range(20)))
    async with asyncio.timeout(SECONDS):
        await (await shelf.tails.at(TOPIC, 0)).reached(41)
    assert (await book.find("open", None)).offset == 20
    assert [one for one in shelf.passes() if one[0] < 20] == [(0, 20)]


async def test_what_comes_while_the_past_is_read_leaves_no_hole(shelf: Any) -> None:
    """More than there is room for: what is remembered then does not reach down to the past."""
    shelf.put(*(f"old{n}" for n in range(3)))
    book = await shelf.book(room=4)
    for n in range(6):
        book._heard(shelf.broker.records(TOPIC, 0)[0]._replace(offset=3 + n, headers=[("ce_id", b"new%d" % n)]))
    await book._pass(0, 3)
    assert (book._places.low, book._places.find(b"new1")) == (5, None)


async def test_a_moment_bounds_how_far_back_is_looked(shelf: Any) -> None:
    shelf.broker.clock = lambda: 100.0
    shelf.put("early")
    shelf.broker.clock = lambda: 200.0
    shelf.put("late", "latest")
    book = await shelf.book()
    assert await book.find("early", 150_000) is None
    assert (await book.find("late", 150_000)).offset == 1
    assert shelf.passes() == [(1, 3)]


async def test_a_task_with_an_id_of_its_own_is_looked_for_only_when_it_takes_long(shelf: Any) -> None:
    shelf.put("old", "older", "oldest")
    book = await shelf.book(patience=SECONDS)
    wait = asyncio.create_task(book.wait("new", None, hurry=False))
    await asyncio.sleep(0)
    shelf.put("new")
    async with asyncio.timeout(SECONDS):
        assert (await wait).offset == 3
        assert shelf.passes() == []
        impatient = ResultBook(await shelf.tails.at(TOPIC, 0), shelf.tails, patience=0.001)
        assert (await impatient.wait("old", None, hurry=False)).offset == 0


async def test_who_gives_up_is_forgotten(shelf: Any) -> None:
    book = await shelf.book()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await book.wait("t", None, fresh=True)
    assert book._waiting == {}


async def test_what_stops_the_reader_is_told_to_all_who_wait_and_the_next_book_is_new(shelf: Any) -> None:
    books = Books(shelf.tails)
    book = await books.of("a", 0)
    assert await books.of("a", 0) is book
    wait = asyncio.create_task(book.wait("t", None, fresh=True))
    await asyncio.sleep(0)
    lost = DataLost(TOPIC, 0, 1, 2)
    tail = await shelf.tails.at(TOPIC, 0)
    tail.fail(lost)
    with pytest.raises(DataLost):
        await wait
    with pytest.raises(DataLost):
        await book.wait("t", None, fresh=True)
    again = await books.of("a", 0)
    assert again is not book
    wait = asyncio.create_task(again.wait("t", None, fresh=True))
    await asyncio.sleep(0)
    books.close()
    with pytest.raises(ClientClosed):
        await wait
