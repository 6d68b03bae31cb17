"""``memory.state``: what it says, who repairs it, and a view that starts from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from aiosv3.memory import keeping
from aiosv3.memory.access import OPERATOR
from aiosv3.memory.keeping import last_states
from aiosv3.schemas.memory import MemoryAction, quarantine_id_of
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.testing import MemoryBroker, MemoryLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.memory.conftest import Stage, Words


class Reads(MemoryLog):
    """A log that keeps which topics ranges were read of."""

    def __init__(self, broker: MemoryBroker, name: str) -> None:
        super().__init__(broker, name)
        self.topics: list[str] = []

    def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        self.topics.append(topic)
        return super().read(topic, partition, start, end)


async def said(stage: Stage) -> dict[str, str | None]:
    """Key -> text; None for a tombstone."""
    found: dict[str, str | None] = {}
    log = MemoryLog(stage.broker, "test")
    for number in range(stage.partitions):
        async for key, state in last_states(log, stage.topics.memory_state(), number, stage.codec):
            found[key] = None if state is None else str(state.event.content)
    return found


async def waited(stage: Stage, words: type[Words], expected: dict[str, str | None]) -> None:
    """Until the topic says so."""
    async with words.patience():
        while await said(stage) != expected:
            await words.turn()


async def test_the_newest_version_of_each_memory_and_a_tombstone_for_what_is_gone(
    stage: Stage, words: type[Words]
) -> None:
    async with stage.memory():
        kept = await stage.ask(words.remember("kept"))
        old = await stage.ask(words.remember("old", "ada", name="home"))
        await stage.ask(words.remember("new", "ada", name="home"))
        await waited(stage, words, {kept["id"]: "kept", old["id"]: "new"})
        forgotten = f"forgotten/subject/{words.about('ada')}"
        await stage.ask(words.forget("ada"))
        await waited(stage, words, {kept["id"]: "kept", old["id"]: None, forgotten: "None"})


async def test_an_owner_puts_right_what_others_left(stage: Stage, words: type[Words]) -> None:
    """Something was written late by a worker that had lost the partition, and something was never written."""
    async with stage.memory():
        first = await stage.ask(words.remember("first"))
        gone = await stage.ask(words.remember("gone", "ada"))
        await waited(stage, words, {first["id"]: "first", gone["id"]: "gone"})
    topic = stage.topics.memory_state()
    state: dict[bytes | None, Record] = {}
    for number in range(stage.partitions):
        state |= {record.key: record for record in stage.broker.records(topic, number)}
    late = state[gone["id"].encode()]
    async with stage.memory("two"):
        await stage.ask(words.forget("ada"))
        forgotten = f"forgotten/subject/{words.about('ada')}"
        settled = {first["id"]: "first", gone["id"]: None, forgotten: "None"}
        await waited(stage, words, settled)
    stage.broker.append(Outgoing(topic, late.partition, late.key, late.value, late.headers))
    lost = state[first["id"].encode()]
    stage.broker.append(Outgoing(topic, lost.partition, lost.key, None, []))
    stage.broker.append(Outgoing(topic, lost.partition, b"unreadable", b"\0\0", []))
    assert (await said(stage))[gone["id"]] == "gone"
    async with stage.memory("three"):
        await waited(stage, words, settled)


async def test_what_was_never_written_is_read_in_stretches(
    stage: Stage, words: type[Words], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner that lacks thousands of states reads their events side by side: recalls wait beside it."""
    with monkeypatch.context() as deaf:
        deaf.setattr(keeping.Keeper, "_heard", lambda *_: None)
        async with stage.memory() as memory:
            texts = [f"text {number}" for number in range(40)]
            notes = [await stage.ask(words.remember(text, "ada")) for text in texts]
            log = Reads(stage.broker, "keeper")
            topic, where = stage.topics.memory_state(), notes[0]["partition"]
            keeper = keeping.Keeper(log, topic, where, memory.feed, stage.codec)
            keeper.begin()
            await waited(stage, words, {note["id"]: text for note, text in zip(notes, texts, strict=True)})
            keeper.stop()
    assert log.topics.count(memory.feed.topic) == 1


async def test_what_somebody_writes_late_is_put_right_by_who_is_there(
    stage: Stage, words: type[Words], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_LOOK_S", 0.05)
    async with stage.memory():
        old = await stage.ask(words.remember("old", "ada", name="home"))
        await waited(stage, words, {old["id"]: "old"})
        topic = stage.topics.memory_state()
        (late,) = (one for number in range(stage.partitions) for one in stage.broker.records(topic, number))
        await stage.ask(words.remember("new", "ada", name="home"))
        await waited(stage, words, {old["id"]: "new"})
        stage.broker.append(Outgoing(topic, late.partition, late.key, late.value, late.headers))
        await words.until(lambda: len(states(stage)) == 4)
        assert await said(stage) == {old["id"]: "new"}


async def test_a_view_starts_from_the_states_where_the_log_has_lost_its_beginning(
    stage: Stage, words: type[Words]
) -> None:
    soon = stage.clock() + 600_000  # what was sent before the log begins is refused: it may have been answered
    async with stage.memory() as memory:
        for number in range(4):
            await stage.ask(words.remember(f"old {number}", f"subject {number}"))
        await stage.ask(words.forget("subject 0"), sent=soon + 1_000)
        await words.until(lambda: len(memory.view.entries) == 3)
        await words.until(lambda: len(states(stage)) >= 6)
        for number in range(stage.partitions):
            end = (await memory.log.bounds(stage.topics.memory_events(), number)).end
            await memory.log.truncate(stage.topics.memory_events(), number, end)
        before = await memory.view.digest("acme")
    async with stage.memory("two") as memory:
        await stage.ask(words.remember("a late copy", "subject 0"), sent=soon)
        note = await stage.ask(words.remember("new", "subject 1"), sent=soon)
        await memory.feed.reach({note["partition"]: note["offset"]}, 30)
        texts = sorted(entry.text for entry in memory.view.entries.values())
        assert texts == ["new", "old 1", "old 2", "old 3"]
        await memory.view.purge("acme", ids=[note["id"]])
        assert await memory.view.digest("acme") == before


async def test_a_quarantine_outlives_the_beginning_of_the_log(
    stage: Stage, words: type[Words], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the owner that heard it was gone before it wrote it down."""
    named = quarantine_id_of(words.secret, "acme", "bad", None)
    query = replace(words.forget(memory_id=named), action=MemoryAction.QUARANTINE, source="bad")
    soon = stage.clock() + 600_000
    with monkeypatch.context() as deaf:
        deaf.setattr(keeping.Keeper, "_heard", lambda *_: None)
        async with stage.memory():
            note = await stage.ask(words.remember("poison", source="bad"))
            await stage.ask(query, agent=OPERATOR, key=note["id"][:16])
    async with stage.memory("two") as memory:
        await waited(stage, words, {note["id"]: "poison", f"quarantined/{named}": "None"})
        for number in range(stage.partitions):
            end = (await memory.log.bounds(stage.topics.memory_events(), number)).end
            await memory.log.truncate(stage.topics.memory_events(), number, end)
    for name in ("three", "four"):  # an owner that starts from the states leaves them as they are
        async with stage.memory(name):
            assert await stage.texts(words.recall("poison"), sent=soon) == []
    async with stage.memory("five"):
        assert await stage.texts(words.recall("poison", min_trust=0), sent=soon) == ["poison"]


async def test_an_older_quarantine_that_lands_behind_a_release_is_not_the_state(
    stage: Stage, words: type[Words]
) -> None:
    """As a worker that has lost the partition would write it: a rebuild from the states must find what the log says."""
    named = quarantine_id_of(words.secret, "acme", "bad", None)
    query = replace(words.forget(memory_id=named), action=MemoryAction.QUARANTINE, source="bad")
    async with stage.memory():
        note = await stage.ask(words.remember("poison", source="bad"))
        place = note["id"][:16]
        await stage.ask(query, agent=OPERATOR, key=place)
        await stage.ask(replace(query, action=MemoryAction.RELEASE), agent=OPERATOR, key=place)
        (old,) = (record for record, event in stage.events() if event.action is MemoryAction.QUARANTINE)
        stage.broker.append(Outgoing(old.topic, old.partition, old.key, old.value, old.headers))
        behind = await stage.ask(words.remember("behind", source="good"))
        assert behind["partition"] == note["partition"]
        await waited(stage, words, {note["id"]: "poison", behind["id"]: "behind", f"quarantined/{named}": "None"})
    log = MemoryLog(stage.broker, "test")
    newest = dict([one async for one in last_states(log, stage.topics.memory_state(), old.partition, stage.codec)])
    kept = newest[f"quarantined/{named}"]
    assert kept is not None
    assert kept.event.action is MemoryAction.RELEASE


def states(stage: Stage) -> list[bytes | None]:
    topic = stage.topics.memory_state()
    return [one.value for number in range(stage.partitions) for one in stage.broker.records(topic, number)]
