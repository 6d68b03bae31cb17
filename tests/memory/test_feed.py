"""The live view: when it is ready, how far it is, and what it waits for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from aiosv3.memory.views.embedded import EmbeddedView
from aiosv3.streams.errors import DataLost
from aiosv3.streams.log import Outgoing

if TYPE_CHECKING:
    from tests.memory.conftest import HashEmbedder, Stage, Words


async def test_it_is_ready_when_it_knows_what_was_there_at_its_start(stage: Stage, words: type[Words]) -> None:
    async with stage.memory("first"):
        for number in range(5):
            await stage.ask(words.remember(f"fact {number}", f"subject {number}"))
    async with stage.memory("second") as memory:
        await memory.feed.ready.wait()
        assert len(memory.view.entries) == 5
        assert memory.feed.lag() <= stage.partitions  # its own markers at most
        assert memory.feed.scopes("acme") == {"tenant"}
        assert memory.feed.scopes("other") == set()


async def test_nothing_is_answered_from_half_a_view(stage: Stage, words: type[Words]) -> None:
    async with stage.memory("first") as memory:
        for number in range(5):
            await stage.ask(words.remember(f"fact {number}", f"subject {number}"))
    second = type(memory)(stage, "second", None, memory.contents)
    async with second.feed.still():
        await second.feed.start()
        await second.processor.start()
        asked = stage.send(words.recall("fact"))
        await words.until(lambda: any(tenure.offsets.open for tenure in second.processor.tenures.values()))
        for _ in range(20):
            await words.turn()
        assert asked not in stage.answers()
    assert len(json.loads(str((await stage.answer(asked)).content))["memories"]) == 5
    await second.processor.drain(0.0)
    await second.feed.close()


async def test_what_does_not_come_is_not_waited_for_for_ever(stage: Stage) -> None:
    async with stage.memory() as memory:
        assert not await memory.feed.reach({0: 10**9}, 0.05)
        assert await memory.feed.reach({}, 0.05)


@pytest.mark.parametrize("garbage", [b"noise", b"\0\x3b\x9a\xca\0of a schema that nobody has"])
async def test_what_nobody_can_read_is_passed_over(stage: Stage, words: type[Words], garbage: bytes) -> None:
    for number in range(stage.partitions):
        stage.broker.append(Outgoing(stage.topics.memory_events(), number, b"k", garbage, []))
        stage.broker.append(Outgoing(stage.topics.memory_state(), number, b"k", garbage, []))
    async with stage.memory() as memory:
        await stage.ask(words.remember("fact"))
        for number in range(stage.partitions):
            stage.broker.append(Outgoing(stage.topics.memory_events(), number, b"k", garbage, []))
        await stage.ask(words.remember("fact 2"))
        await words.until(lambda: len(memory.view.entries) == 2)


async def test_a_vector_of_another_length_ends_nothing(
    stage: Stage, words: type[Words], embedder: HashEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    """An embedder was changed, and kept its name: its memories are found by their words."""
    async with stage.memory(embedder=embedder) as memory:
        memory.feed.applier.view = EmbeddedView()
        await stage.ask(words.remember("green tea"))
        embedder.length = 7
        await stage.ask(words.remember("black tea"))
        embedder.length = 32
        await stage.ask(words.remember("red tea"))
        found = await stage.texts(words.recall("tea", positions=stage.known()))
        await memory.feed.applier.view.close()
    assert sorted(found) == ["black tea", "green tea", "red tea"]
    assert "is found by its words alone: a vector has shape (7,)" in caplog.text


async def test_a_log_that_lost_what_is_needed_ends_it(stage: Stage, words: type[Words]) -> None:
    async with stage.memory() as memory:
        await stage.ask(words.remember("fact"))
        async with memory.feed.still():
            await stage.ask(words.remember("fact 2"))
            for number in range(stage.partitions):
                end = (await memory.log.bounds(stage.topics.memory_events(), number)).end
                await memory.log.truncate(stage.topics.memory_events(), number, end)
            memory.feed.positions = dict.fromkeys(memory.feed.positions, 0)
        again = type(memory.feed)(
            memory.log, memory.follower, memory.feed.topic, stage.partitions, memory.feed.applier, None
        )
        await again.start()
        again.positions = dict.fromkeys(again.positions, 0)
        with pytest.raises(DataLost):
            await again.watch()
        assert isinstance(again.failed, DataLost)
        await again.close()
