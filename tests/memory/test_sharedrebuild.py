"""A view that several workers share is built anew by one of them, memory by memory compared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from aiosv3.memory.rebuilding import RebuildDiffers
from aiosv3.memory.sharedrebuild import SharedRebuild, differences
from aiosv3.memory.views.digests import share
from aiosv3.memory.views.errors import ViewUnavailable
from aiosv3.memory.views.port import Change, Digest, Entry, Hit, Put, Query, View

if TYPE_CHECKING:
    from tests.memory.conftest import DictView, Memory, Stage, Words

DEADLINE_S = 30.0
GONE = (9, True)


def test_what_is_newer_and_what_is_lacking() -> None:
    log = {"same": ((1, False), 7), "old": ((1, False), 7), "new": ((3, False), 7), "lost": ((1, False), 7)}
    live = {"same": ((1, False), 7), "old": ((2, False), 8), "new": ((2, False), 7), "later": ((5, False), 1)}
    found = differences(log, live)
    assert found.newer == {"old": (2, False), "later": (5, False)}
    assert found.lacking == {"new", "lost"}
    assert differences({"a": ((1, False), 7)}, {"a": ((1, False), 8)}).lacking == {"a"}, "another text"


def test_what_is_removed_may_be_unknown_on_the_other_side() -> None:
    assert differences({"a": (GONE, 0)}, {}) == ({}, set())
    assert differences({}, {"a": (GONE, 0)}) == ({}, set())
    assert differences({"a": ((1, False), 7)}, {"a": (GONE, 0)}) == ({"a": GONE}, set())
    assert differences({"a": (GONE, 0)}, {"a": ((1, False), 7)}).lacking == {"a"}, "it shows what was removed"


class Shelf:
    """Collections in dictionaries, behind one name that all views of ``live`` go by."""

    def __init__(self, view: type[DictView]) -> None:
        self._view = view
        self.collections = {"first": view()}
        self.name = "first"
        self.discarded: list[str] = []
        self.before_listing: Callable[[], Awaitable[None]] | None = None
        self.after_listing: Callable[[], Awaitable[None]] | None = None
        """What happens meanwhile: before and after the live view is listed, once."""

    def live(self) -> OnShelf:
        return OnShelf(self, None)

    def fresh(self) -> OnShelf:
        name = f"fresh {len(self.collections)}"
        self.collections[name] = self._view()
        return OnShelf(self, name)

    async def switch(self, view: View) -> str:
        assert isinstance(view, OnShelf)
        assert view.name is not None
        before, self.name, view.name = self.name, view.name, None
        return before

    async def discard(self, view: View) -> None:
        assert isinstance(view, OnShelf)
        if view.name is not None:
            self.discarded.append(view.name)
            del self.collections[view.name]


class OnShelf:
    """One collection, or whichever is live."""

    def __init__(self, shelf: Shelf, name: str | None) -> None:
        self.shelf = shelf
        self.name = name

    @property
    def _held(self) -> DictView:
        return self.shelf.collections[self.name or self.shelf.name]

    async def apply(self, changes: Sequence[Change]) -> None:
        await self._held.apply(changes)

    async def search(self, query: Query) -> list[Hit]:
        return await self._held.search(query)

    async def get(self, tenant: str, ids: Collection[str]) -> list[Entry]:
        return await self._held.get(tenant, ids)

    async def digest(self, tenant: str) -> Digest:
        return await self._held.digest(tenant)

    async def purge(self, tenant: str, *, subject: str | None = None, ids: Collection[str] = ()) -> int:
        return await self._held.purge(tenant, subject=subject, ids=ids)

    async def versions(self, tenant: str) -> Mapping[str, tuple[tuple[int, bool], int]]:
        held, shelf = self._held, self.shelf
        if self.name is None and (before := shelf.before_listing) is not None:
            shelf.before_listing = None
            await before()
        told = {
            name: ((version, (owner, name) not in held.entries), part(held, (owner, name)))
            for (owner, name), version in held.floors.items()
            if owner == tenant
        }
        if self.name is None and (after := shelf.after_listing) is not None:
            shelf.after_listing = None
            await after()
        return told

    async def close(self) -> None:
        """Nothing: the collection stays."""


def part(held: DictView, key: tuple[str, str]) -> int:
    return share(held.entries[key]) if key in held.entries else 0


@pytest.fixture
def shelf(dict_view: type[DictView]) -> Shelf:
    return Shelf(dict_view)


def rebuild_of(memory: Memory, shelf: Shelf) -> SharedRebuild:
    return SharedRebuild(memory.log, memory.feed, memory.stage.codec, memory.contents, shelf)


async def reached(memory: Memory, stage: Stage) -> None:
    assert await memory.feed.reach({one.partition: one.offset for one in stage.known()}, DEADLINE_S)


async def filled(stage: Stage, words: type[Words], *workers: Memory) -> None:
    for number in range(6):
        await stage.ask(words.remember(f"fact {number}", f"subject {number % 3}"))
    await stage.ask(words.forget("subject 2"))
    for worker in workers:
        await reached(worker, stage)


async def test_one_takes_the_place_of_the_other_for_everybody(stage: Stage, words: type[Words], shelf: Shelf) -> None:
    async with stage.memory() as memory, stage.memory("second") as second:
        for one in (memory, second):
            one.feed.applier.view = shelf.live()
        await filled(stage, words, memory, second)
        rebuilt, view = await rebuild_of(memory, shelf).run()
        assert (rebuilt.kept, shelf.name, rebuilt.digests["acme"].count) == ("first", "fresh 1", 4)
        assert (view, shelf.discarded) == (memory.feed.applier.view, [])
        assert len(shelf.collections["fresh 1"].entries) == 4
        await stage.ask(words.remember("afterwards"))
        await reached(second, stage)
        await reached(memory, stage)
        assert [len(shelf.collections[name].entries) for name in ("first", "fresh 1")] == [4, 5]


async def test_another_worker_may_be_ahead(stage: Stage, words: type[Words], shelf: Shelf) -> None:
    """What it wrote is in the new view as well, when this worker has come that far."""
    async with stage.memory() as memory, stage.memory("second") as second:
        for one in (memory, second):
            one.feed.applier.view = shelf.live()
        await filled(stage, words, memory, second)

        async def ahead() -> None:
            async with memory.feed.still():
                await stage.ask(words.remember("ahead", "subject 0"))
                await stage.ask(words.forget("subject 1"))
                await reached(second, stage)

        shelf.before_listing = ahead
        rebuilt, _ = await rebuild_of(memory, shelf).run()
        texts = sorted(entry.text for entry in shelf.collections[shelf.name].entries.values())
        assert (rebuilt.kept, shelf.name, texts) == ("first", "fresh 1", ["ahead", "fact 0", "fact 3"])


async def test_what_comes_after_the_comparison_is_in_the_new_view(
    stage: Stage, words: type[Words], shelf: Shelf
) -> None:
    async with stage.memory() as memory:
        memory.feed.applier.view = shelf.live()
        await filled(stage, words, memory)

        async def meanwhile() -> None:
            await stage.ask(words.remember("meanwhile"))
            await reached(memory, stage)

        shelf.after_listing = meanwhile
        rebuilt, _ = await rebuild_of(memory, shelf).run()
        assert (rebuilt.digests["acme"].count, shelf.name) == (4, "fresh 1")
        assert "meanwhile" in {entry.text for entry in shelf.collections["fresh 1"].entries.values()}


async def test_a_view_that_lacks_something_stays_and_what_was_built_is_dropped(
    stage: Stage, words: type[Words], shelf: Shelf
) -> None:
    async with stage.memory() as memory:
        memory.feed.applier.view = shelf.live()
        await filled(stage, words, memory)
        first = shelf.collections["first"]
        lost = next(iter(first.entries))
        del first.entries[lost], first.floors[lost]
        with pytest.raises(
            RebuildDiffers, match="tenant acme: of 1 memories that the log gives the live view has none"
        ):
            await rebuild_of(memory, shelf).run()
        assert (shelf.name, shelf.discarded, list(shelf.collections)) == ("first", ["fresh 1"], ["first"])


async def test_a_view_that_has_what_no_event_says_stays(stage: Stage, words: type[Words], shelf: Shelf) -> None:
    async with stage.memory() as memory:
        memory.feed.applier.view = shelf.live()
        await filled(stage, words, memory)
        entry = next(iter(shelf.collections["first"].entries.values()))
        await shelf.collections["first"].apply([Put(replace(entry, version=10**6))])
        with pytest.raises(RebuildDiffers, match="version 1000000 of a memory; the log not"):
            await rebuild_of(memory, shelf).run()
        assert shelf.name == "first"


async def test_a_server_that_is_away_changes_nothing(stage: Stage, words: type[Words], shelf: Shelf) -> None:
    async with stage.memory() as memory:
        memory.feed.applier.view = shelf.live()
        await filled(stage, words, memory)

        async def away() -> None:
            raise ViewUnavailable("away")

        shelf.before_listing = away
        with pytest.raises(ViewUnavailable):
            await rebuild_of(memory, shelf).run()
        assert (shelf.name, list(shelf.collections)) == ("first", ["first"])
