"""A memory worker on the log: what is remembered, recalled and forgotten, and what comes twice or late."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import ClearanceDenied, Context, MemoryRefused
from aiosv3.memory.access import OPERATOR
from aiosv3.memory.views.errors import ViewUnavailable
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.memory import MemoryAction, MemoryPosition, quarantine_id_of
from aiosv3.schemas.records import Outcome
from aiosv3.streams.log import Outgoing
from aiosv3.streams.partitioner import murmur2_partition

if TYPE_CHECKING:
    from tests.memory.conftest import HashEmbedder, Stage, Words


async def test_an_agent_remembers_recalls_and_forgets(stage: Stage, embedder: HashEmbedder) -> None:
    async def program(ctx: Context, value: Any) -> Any:
        noted = await ctx.remember("ada prefers the phone", subject="ada", kind="preference")
        await ctx.remember("bob prefers letters", subject="bob")
        found = await ctx.recall("who prefers the phone", k=5)
        gone = await ctx.forget(subject="ada")
        left = await ctx.recall("prefers")
        told, after = [one.text for one in found], [one.text for one in left]
        return [noted.id == found[0].id, found[0].citation, told, after, found.degraded, gone.receipt["shredded"]]

    async with stage.memory(embedder=embedder), stage.agent(program):
        result = await stage.run("t1")
    assert result.outcome is Outcome.OK, result.error
    content: Any = result.content
    same, citation, found, left, degraded, shredded = content
    assert same
    assert citation.startswith("memory.events/")
    assert found == ["ada prefers the phone", "bob prefers letters"]
    assert (left, degraded, shredded) == (["bob prefers letters"], False, [])


async def test_what_nobody_awaits_is_remembered_all_the_same(stage: Stage, words: type[Words]) -> None:
    async def program(ctx: Context, value: Any) -> Any:
        ctx.remember("said in passing", scope="tenant")

    async with stage.agent(program):
        await stage.run("t1")  # no memory worker is needed for the task to end
        async with stage.memory():
            await words.until(lambda: [event.content for _, event in stage.events()] == ["said in passing"])
            assert await stage.texts(words.recall("passing", positions=stage.known())) == ["said in passing"]


async def test_the_same_again_is_one_memory_and_a_key_has_versions(stage: Stage, words: type[Words]) -> None:
    async with stage.memory() as memory:
        for said in ("likes tea", "likes tea"):
            await stage.ask(words.remember(said))
        first = await stage.ask(words.remember("lives in Oslo", "ada", name="home"))
        second = await stage.ask(words.remember("lives in Rome", "ada", name="home"))
        assert first["id"] == second["id"]
        found = await stage.ask(words.recall("likes lives in", positions=stage.known()))
        assert sorted(one["text"] for one in found["memories"]) == ["likes tea", "lives in Rome"]
        assert [one["version"] for one in found["memories"] if "Rome" in one["text"]] == [second["offset"]]
        assert len(memory.view.entries) == 2


async def test_a_request_that_comes_again_is_answered_from_the_log(stage: Stage, words: type[Words]) -> None:
    async with stage.memory():
        query = words.remember("once")
        first = await stage.answer(stage.send(query, request_id="twice"))
        stage.send(query, request_id="twice")
        await words.until(lambda: len(stage.broker.records("aios.journal.tester", 0)) == 2)
        answers = [record.value for record in stage.broker.records("aios.journal.tester", 0)]
    assert answers[0] == answers[1]
    assert first.outcome is Outcome.OK
    assert len(stage.events()) == 1
    async with stage.memory("another"):
        stage.send(query, request_id="twice")
        await words.until(lambda: len(stage.broker.records("aios.journal.tester", 0)) == 3)
    assert len(stage.events()) == 1


async def test_what_was_asked_before_it_was_forgotten_does_not_come_back(
    stage: Stage, words: type[Words], embedder: HashEmbedder
) -> None:
    """Its embedding takes long, so its event lands behind that of the forgetting."""
    embedder.gate = asyncio.Event()
    async with stage.memory(embedder=embedder) as memory:
        late = stage.send(words.remember("ada has debts", "ada"), sent=words.now)
        await words.until(lambda: embedder.calls)
        await stage.ask(words.forget("ada"), sent=words.now + 5)
        embedder.gate.set()
        await stage.answer(late)
        order = [event.action.value for record, event in stage.events()]
        assert order == ["FORGET", "REMEMBER"]
        assert await stage.texts(words.recall("debts", positions=stage.known())) == []
        # ... not in a copy with a later offset either, but what is said afterwards is a new memory.
        await stage.ask(words.remember("ada has debts", "ada"), sent=words.now + 4)
        assert await stage.texts(words.recall("debts", positions=stage.known())) == []
        await stage.ask(words.remember("ada has debts", "ada"), sent=words.now + 6)
        assert await stage.texts(words.recall("debts", positions=stage.known())) == ["ada has debts"]
        assert len(memory.view.entries) == 1


async def test_one_memory_is_forgotten_by_its_id(stage: Stage, words: type[Words]) -> None:
    async with stage.memory():
        kept = await stage.ask(words.remember("kept", "ada"))
        gone = await stage.ask(words.remember("gone", "ada"))
        answer = await stage.ask(words.forget(memory_id=gone["id"]))
        assert set(answer["receipt"]["stores"]) >= {"memory.events", "memory.state", "memory views"}
        found = await stage.ask(words.recall("kept gone", positions=stage.known()))
        assert [one["id"] for one in found["memories"]] == [kept["id"]]


async def test_scopes_and_classes_are_those_of_the_headers(stage: Stage, words: type[Words]) -> None:
    async with stage.memory() as memory:
        for scope, agent in (("tenant", "worker"), ("team:support", "helper"), ("agent:worker", "worker")):
            await stage.ask(words.remember(f"word {scope}", scope=scope), agent=agent)
        secret = words.remember("word secret")
        await stage.ask(secret, agent="worker", clearance=Clearance.CONFIDENTIAL)
        asked = words.recall("word", positions=stage.known())
        assert await stage.texts(asked, agent="stranger") == ["word tenant"]
        assert sorted(await stage.texts(asked, agent="helper")) == ["word team:support", "word tenant"]
        seen = await stage.texts(asked, agent="worker", clearance=Clearance.CONFIDENTIAL)
        assert sorted(seen) == ["word agent:worker", "word secret", "word team:support", "word tenant"]
        assert await stage.texts(asked, agent="worker", tenant="other") == []
        denied = await stage.ask(replace(asked, scope="agent:worker"), agent="helper")
        assert denied[0] == "ClearanceDenied"
        denied = await stage.ask(words.remember("mine now", scope="agent:worker"), agent="helper")
        assert denied[0] == "ClearanceDenied"
        assert "team:support@internal" in memory.view.queries[-2].scopes
        assert all(not scope.endswith("@confidential") for scope in memory.view.queries[0].scopes)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"place": "0" * 16}, "the place is not that of"),
        ({"memory_id": "0" * 40}, "does not begin with its place"),
        ({"memory_id": "../../etc"}, "does not begin with its place"),
        ({"kind": "rumour"}, "a kind of"),
        ({"content": None}, "nothing to remember"),
        ({"trust": 2}, "not an agent's to give"),
        ({"importance": 7.0}, "importance"),
        ({"subject": "ada"}, "no keyed hash"),
        ({"supersedes": "1" * 40}, "takes the place of one about the same"),
    ],
)
async def test_what_is_wrong_is_refused_in_words(
    stage: Stage, words: type[Words], change: dict[str, Any], why: str
) -> None:
    async with stage.memory() as memory:
        query = replace(words.remember("right", "ada"), **change)
        kind, message = await stage.ask(query)
        assert (kind, why in message) == ("MemoryRefused", True)
        assert memory.view.entries == {}


async def test_what_is_sealed_is_refused_where_there_are_no_keys(stage: Stage, words: type[Words]) -> None:
    async with stage.memory():
        kind, message = await stage.ask(replace(words.remember("x"), content=b"\1sealed"))
        assert (kind, "no keys" in message) == ("ClearanceDenied", True)


async def test_a_refusal_reaches_the_agent_typed(stage: Stage) -> None:
    async def program(ctx: Context, value: Any) -> Any:
        with pytest.raises(ClearanceDenied):
            await ctx.recall("x", scope="agent:somebody")
        with pytest.raises(MemoryRefused):
            await ctx.forget(id="nonsense")
        return "both"

    async with stage.memory(), stage.agent(program):
        assert (await stage.run("t1")).content == "both"


async def test_who_does_not_say_which_agent_it_is_is_a_dead_letter(stage: Stage, words: type[Words]) -> None:
    async with stage.memory():
        for agent in (None, "no agent", "a@b"):
            stage.send(words.recall("x"), agent=agent)
        stage.broker.append(Outgoing(stage.topics.memory_queries(), 0, b"k", b"\0nonsense", []))
        await words.until(lambda: len(stage.broker.records(stage.topics.dead_letters(), 0)) == 4)


async def test_a_text_without_a_vector_is_found_by_its_words(
    stage: Stage, words: type[Words], embedder: HashEmbedder
) -> None:
    embedder.trouble = RuntimeError("out of memory")
    async with stage.memory(embedder=embedder):
        await stage.ask(words.remember("blue sky"))
        found = await stage.ask(words.recall("sky", positions=stage.known()))
        assert ([one["text"] for one in found["memories"]], found["degraded"]) == (["blue sky"], True)
        embedder.trouble = None
        await stage.ask(words.remember("green grass"))
        found = await stage.ask(words.recall("grass", positions=stage.known()))
        assert found["degraded"] is False
        vectors = [event.vector is None for _, event in stage.events()]
        assert sorted(vectors) == [False, True]


async def test_a_view_that_is_not_there_is_said(stage: Stage, words: type[Words]) -> None:
    async with stage.memory() as memory:
        memory.view.trouble = ViewUnavailable("gone fishing")
        assert (await stage.ask(words.recall("x")))[0] == "MemoryUnavailable"
        await stage.ask(words.remember("kept on the log"))
        memory.view.trouble = None
        assert await stage.texts(words.recall("log", positions=stage.known())) == ["kept on the log"]


async def test_a_second_worker_knows_what_the_first_has_written(stage: Stage, words: type[Words]) -> None:
    """Recalls go to either; both follow all partitions, and wait for what the asker has written."""
    async with stage.memory("one"), stage.memory("two"):
        for number in range(6):
            note = await stage.ask(words.remember(f"number {number}", f"subject {number}"))
            asked = words.recall(f"{number}", positions=(MemoryPosition(note["partition"], note["offset"]),))
            assert await stage.texts(asked) == [f"number {number}"]


async def test_what_was_known_then(stage: Stage, words: type[Words]) -> None:
    async with stage.memory() as memory:
        await stage.ask(words.remember("lives in Oslo", "ada", name="home"))
        await stage.ask(words.remember("bob was here", "bob"))
        then = max(record.timestamp for record, _ in stage.events())
        await asyncio.sleep(0.005)
        await stage.ask(words.remember("lives in Rome", "ada", name="home"))
        asked = words.recall("lives here", as_of=then)
        found = await stage.ask(asked)
        assert sorted(one["text"] for one in found["memories"]) == ["bob was here", "lives in Oslo"]
        # What has been forgotten since is not shown in any past.
        await stage.ask(words.forget("bob"))
        assert await stage.texts(replace(asked, positions=stage.known())) == ["lives in Oslo"]
        await memory.log.truncate(stage.topics.memory_events(), 0, 1)
        await memory.log.truncate(stage.topics.memory_events(), 1, 1)
        error, why = await stage.ask(asked)
        assert (error, "begins at offset 1" in why) == ("AsOfPruned", True)
        assert (await stage.ask(words.recall("x", as_of_positions=(MemoryPosition(0, 1),))))[0] == "AsOfPruned"
        assert await stage.texts(words.recall("lives")) == ["lives in Rome"]


async def test_what_was_known_as_of_an_earlier_answer(stage: Stage, words: type[Words]) -> None:
    async with stage.memory():
        await stage.ask(words.remember("lives in Oslo", "ada", name="home"))
        earlier = await stage.ask(words.recall("lives", positions=stage.known()))
        await stage.ask(words.remember("lives in Rome", "ada", name="home"))
        await stage.ask(words.remember("bob lives here", "bob"))
        places = tuple(MemoryPosition(int(number), offset) for number, offset in earlier["as_of"].items())
        again = await stage.ask(words.recall("lives", as_of_positions=places, positions=stage.known()))
        assert [one["text"] for one in again["memories"]] == ["lives in Oslo"]
        assert again["as_of"] == earlier["as_of"]
        first = next(record for record, event in stage.events() if event.content == "lives in Oslo")
        before = words.recall("lives", as_of_positions=(MemoryPosition(first.partition, first.offset),))
        assert await stage.texts(before) == []  # the other partition at that time: bob came later


async def quarantine(
    stage: Stage, words: type[Words], source: str | None = None, task: str | None = None, *, on: bool = True
) -> None:
    """As the shell does it: a request to each partition."""
    action = MemoryAction.QUARANTINE if on else MemoryAction.RELEASE
    named = quarantine_id_of(words.secret, "acme", source, task)
    query = replace(words.forget(memory_id=named), action=action, source=source, from_task=task)
    for number in range(stage.partitions):
        key = next(str(one) for one in range(99) if murmur2_partition(str(one).encode(), stage.partitions) == number)
        assert "id" in await stage.ask(query, agent=OPERATOR, key=key)


async def test_what_came_from_a_source_is_put_into_quarantine_and_let_out(stage: Stage, words: type[Words]) -> None:
    async with stage.memory():
        await stage.ask(words.remember("poison here", "ada", source="bad"))
        await stage.ask(words.remember("wisdom here", "bob", source="good"))
        earlier = await stage.ask(words.recall("here", positions=stage.known()))
        assert len(earlier["memories"]) == 2
        await quarantine(stage, words, source="bad")
        await stage.ask(words.remember("more poison here", "eve", source="bad"))
        assert await stage.texts(words.recall("here", positions=stage.known())) == ["wisdom here"]
        found = (await stage.ask(words.recall("here", min_trust=0)))["memories"]
        trust = {"poison here": 0, "more poison here": 0, "wisdom here": 1}
        assert {one["text"]: one["trust"] for one in found} == trust
        # What was known before is told as it was known.
        places = tuple(MemoryPosition(int(number), offset) for number, offset in earlier["as_of"].items())
        assert len(await stage.texts(words.recall("here", as_of_positions=places))) == 2
    async with stage.memory("two"):
        assert await stage.texts(words.recall("here")) == ["wisdom here"]
        await quarantine(stage, words, on=False, source="bad")
        assert len(await stage.texts(words.recall("here", positions=stage.known()))) == 3


async def test_what_came_from_a_task_is_put_into_quarantine(stage: Stage, words: type[Words]) -> None:
    async with stage.memory():
        await stage.ask(replace(words.remember("poison here", "ada"), task_id="desk:0:1"))
        await stage.ask(words.remember("wisdom here", "bob"))
        await quarantine(stage, words, task="desk:0:1")
        await stage.ask(replace(words.remember("late poison here", "eve"), task_id="desk:0:1"))
        assert await stage.texts(words.recall("here", positions=stage.known())) == ["wisdom here"]


async def test_a_document_ends_and_was_known(stage: Stage, words: type[Words]) -> None:
    """A chunk that its document no longer has is over; an agent may not say so."""
    async with stage.memory():
        note = await stage.ask(words.remember("chunk here", kind="chunk"))
        then = max(record.timestamp for record, _ in stage.events())
        await asyncio.sleep(0.005)
        over = replace(words.forget(memory_id=note["id"]), action=MemoryAction.EXPIRE)
        assert (await stage.ask(over))[0] == "MemoryRefused"
        await stage.ask(over, agent=OPERATOR)
        assert await stage.texts(words.recall("chunk", positions=stage.known())) == []
        assert await stage.texts(words.recall("chunk", as_of=then)) == ["chunk here"]
        await stage.ask(words.remember("chunk here again", kind="chunk", name="chunk here"))
        assert await stage.texts(words.recall("chunk", positions=stage.known())) == ["chunk here again"]


async def test_an_answer_says_how_fresh_it_is(stage: Stage, words: type[Words]) -> None:
    async with stage.memory() as memory:
        note = await stage.ask(words.remember("fresh"))
        found = await stage.ask(words.recall("fresh", positions=stage.known()))
        assert found["as_of"][str(note["partition"])] == note["offset"] + 1
        assert (found["lag"], found["degraded"]) == (0, False)
        assert json.dumps(found)
        assert memory.feed.ready.is_set()
