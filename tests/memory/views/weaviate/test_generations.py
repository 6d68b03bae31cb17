"""A new collection takes the place of the live one: for everybody at once, and not before it is whole.

Left out without ``AIOSV3_TEST_WEAVIATE=1``.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from aiosv3.memory.rebuilding import RebuildDiffers
from aiosv3.memory.sharedrebuild import SharedRebuild
from aiosv3.memory.views import Entry, Put, Query, View, ViewUnavailable
from aiosv3.memory.views.embedded import EmbeddedView
from aiosv3.memory.views.fallback import FallbackView
from aiosv3.memory.views.weaviate import Generations

if TYPE_CHECKING:
    from tests.memory.conftest import HashEmbedder, Stage, Words

DEADLINE_S = 90.0
pytestmark = [
    pytest.mark.weaviate,
    pytest.mark.xdist_group("weaviate"),
    pytest.mark.skipif(not os.environ.get("AIOSV3_TEST_WEAVIATE"), reason="AIOSV3_TEST_WEAVIATE=1 runs a Weaviate"),
]


def make(id_: str) -> Entry:
    return Entry(id_, 1, "acme", "tenant", "fact", "tea", 0, 0, "hash")


async def ids(view: View) -> list[str]:
    return sorted(hit.entry.id for hit in await view.search(Query("acme", ["tenant"], "tea")))


async def test_of_workers_that_start_at_once_all_have_one_collection(generations: Generations) -> None:
    views = [generations.live() for _ in range(4)]
    await asyncio.gather(*(view.apply([Put(make(f"m{number}"))]) for number, view in enumerate(views)))
    assert [await ids(view) for view in views] == [["m0", "m1", "m2", "m3"]] * 4
    assert await generations.confirm() == [], "the ones that gave way are gone"
    for view in views:
        await view.close()


async def test_a_new_collection_is_seen_by_nobody_until_it_is_live(generations: Generations) -> None:
    live, other, fresh = generations.live(), generations.live(), generations.fresh()
    await live.apply([Put(make("old"))])
    await fresh.apply([Put(make("new"))])
    assert (await ids(live), await ids(fresh)) == (["old"], ["new"])
    before = await generations.switch(fresh)
    assert [await ids(view) for view in (live, other, fresh)] == [["new"]] * 3
    await other.apply([Put(make("later"))])
    assert await ids(fresh) == ["later", "new"]
    await generations.switch_back(before)
    assert [await ids(view) for view in (live, other, fresh)] == [["old"]] * 3
    (dropped,) = await generations.confirm()
    assert dropped != before
    assert await ids(live) == ["old"]
    for view in (live, other, fresh):
        await view.close()


async def test_what_was_known_of_the_collection_before_is_asked_again(generations: Generations) -> None:
    """The new one has neither the tenant nor the embedder's index; after one failure the view knows."""
    live, fresh = generations.live(), generations.fresh()
    entry = replace(make("a"), vector=np.ones(2, np.float32), embedder="m")
    await live.apply([Put(entry)])
    assert (await fresh.digest("acme")).count == 0
    await generations.switch(fresh)
    with pytest.raises(ViewUnavailable):
        await live.apply([Put(entry)])
    await live.apply([Put(entry)])
    assert await ids(live) == await ids(fresh) == ["a"]
    for view in (live, fresh):
        await view.close()


async def test_only_a_new_collection_can_go_live(generations: Generations) -> None:
    for view in (EmbeddedView(), generations.live()):
        with pytest.raises(TypeError):
            await generations.switch(view)
        await view.close()


async def test_a_rebuild_out_of_the_log(
    generations: Generations, stage: Stage, words: type[Words], embedder: HashEmbedder
) -> None:
    """The worker's view is the one on Weaviate, behind its fallback; another worker writes to it all the while."""
    async with stage.memory(embedder=embedder) as memory, stage.memory("second", embedder) as second:
        for one in (memory, second):
            one.feed.applier.view = FallbackView(generations.live(), EmbeddedView(), 100)
        feed, other = memory.feed, generations.live()
        for number in range(10):
            note = await stage.ask(words.remember(f"fact {number}", f"subject {number % 2}"))
        gone = await stage.ask(words.forget("subject 1"))
        for one in (memory, second):
            await one.feed.reach({each["partition"]: each["offset"] for each in (note, gone)}, DEADLINE_S)
        live = await other.digest("acme")
        async with feed.still():  # the other one is ahead
            note = await stage.ask(words.remember("fact 10", "subject 0"))
            assert await second.feed.reach({note["partition"]: note["offset"]}, DEADLINE_S)
        rebuild = SharedRebuild(memory.log, feed, memory.stage.codec, memory.contents, generations)
        rebuilt, _ = await rebuild.run()
        assert live.count == 5
        assert (rebuilt.digests["acme"].count, rebuilt.kept != "") in {(5, True), (6, True)}
        assert (await other.digest("acme")).count == 6
        note = await stage.ask(words.remember("afterwards"))
        assert await feed.reach({note["partition"]: note["offset"]}, DEADLINE_S)
        assert (await stage.texts(words.recall("afterwards", positions=stage.known())))[0] == "afterwards"
        assert (await other.digest("acme")).count == 7
        assert await generations.confirm() == [rebuilt.kept]
        await other.purge("acme", ids=[entry.id for entry in await other.get("acme", [note["id"]])])
        with pytest.raises(RebuildDiffers, match="has removed, version"):
            await rebuild.run()
        assert await generations.confirm() == [], "what was built in vain is gone"
        for view in (feed.applier.view, second.feed.applier.view, other):
            await view.close()
