"""A rebuild: the same memories again, compared before it is switched to, while memory goes on."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from aiosv3.memory.access import OPERATOR
from aiosv3.memory.rebuilding import Rebuild, RebuildDiffers
from aiosv3.schemas.memory import MemoryAction
from aiosv3.schemas.records import Outcome
from aiosv3.streams.partitioner import murmur2_partition

if TYPE_CHECKING:
    from tests.memory.conftest import DictView, HashEmbedder, Memory, Stage, Words


def rebuild_of(memory: Memory, fresh: DictView) -> Rebuild:
    async def open_view() -> DictView:
        return fresh

    return Rebuild(memory.log, memory.feed, memory.stage.codec, memory.contents, open_view)


async def test_the_rebuilt_view_equals_the_live_one_and_no_model_is_called(
    stage: Stage, words: type[Words], embedder: HashEmbedder, dict_view: type[DictView]
) -> None:
    async with stage.memory(embedder=embedder) as memory:
        for number in range(20):
            await stage.ask(words.remember(f"fact {number}", f"subject {number % 3}"))
        await stage.ask(words.remember("theirs", tenant="other"), tenant="other")
        await stage.ask(words.forget("subject 2"))
        await words.until(lambda: len(memory.view.entries) == 15)
        calls, fresh = len(embedder.calls), dict_view()
        found, before = await rebuild_of(memory, fresh).run()
        assert before is memory.view
        assert memory.feed.applier.view is fresh
        assert {name: digest.count for name, digest in found.digests.items()} == {"acme": 14, "other": 1}
        assert len(embedder.calls) == calls
        assert all(entry.vector is not None for entry in fresh.entries.values())
        note = await stage.ask(words.remember("afterwards"))
        await memory.feed.reach({note["partition"]: note["offset"]}, 30)
        assert await stage.texts(words.recall("afterwards")) == ["afterwards"]
        assert "afterwards" in {entry.text for entry in fresh.entries.values()}


async def test_what_was_on_the_log_before_it_was_asked_for_is_in_it(
    stage: Stage, words: type[Words], dict_view: type[DictView]
) -> None:
    """Though the worker that rebuilds does not know it yet."""
    async with stage.memory() as memory:
        await stage.ask(words.remember("fact", "ada"))
        async with memory.feed.still():
            await stage.ask(words.remember("another", "ada"))
            building = asyncio.ensure_future(rebuild_of(memory, dict_view()).run())
            for _ in range(20):
                await words.turn()
        rebuilt, _ = await building
    assert rebuilt.digests["acme"].count == 2


async def test_what_differs_is_not_switched_to(stage: Stage, words: type[Words], dict_view: type[DictView]) -> None:
    async with stage.memory() as memory:
        await stage.ask(words.remember("fact"))
        await words.until(lambda: memory.view.entries)
        memory.view.entries.clear()
        with pytest.raises(RebuildDiffers, match=r"tenant acme: the log gives 1 memories .* has 0"):
            await rebuild_of(memory, dict_view()).run()
        assert memory.feed.applier.view is memory.view


async def test_workers_rebuild_live_on_request_once_for_all_partitions(stage: Stage, words: type[Words]) -> None:
    async with stage.memory() as memory:
        await stage.ask(words.remember("fact", "ada"))
        await words.until(lambda: memory.view.entries)
        query = replace(words.forget(), action=MemoryAction.REBUILD, place=None, source="rebuild 1")
        for key in keys(stage):
            assert (await stage.ask(query, key=key))[0] == "MemoryRefused"  # an agent
            await stage.ask(query, agent=OPERATOR, key=key)
        assert memory.rebuilds == 1
        assert memory.feed.applier.view is not memory.view
        assert await stage.texts(words.recall("fact")) == ["fact"]
        built = [event for _, event in stage.events() if event.outcome is Outcome.OK and event.source == "rebuild 1"]
        assert [json.loads(str(event.content))["tenants"]["acme"]["count"] for event in built] == [1, 1]
        await stage.ask(words.remember("another", "ada"))
        assert await stage.texts(words.recall("another", positions=stage.known())) == ["another"]
        assert isinstance(memory.feed.applier.view, type(memory.view))
        await memory.feed.applier.view.purge("acme", ids=[entry_id(memory)])
        error, why = await stage.ask(replace(query, source="rebuild 2"), agent=OPERATOR, key=keys(stage)[0])
        assert (error, "tenant acme" in why, memory.rebuilds) == ("RebuildDiffers", True, 2)


def keys(stage: Stage) -> list[str]:
    """A key for each partition."""
    places = {murmur2_partition(str(one).encode(), stage.partitions): str(one) for one in range(99)}
    return [places[number] for number in range(stage.partitions)]


def entry_id(memory: Memory) -> str:
    return next(name for fold in memory.feed.applier.folds.values() for _, name in fold.memories)
