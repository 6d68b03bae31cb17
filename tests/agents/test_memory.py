"""The steps that remember, recall and forget, as a task's journal sees them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, MemoryRefused, MemoryUnavailable
from aiosv3.agents.replay import describe
from aiosv3.agents.steps import MemoryStep
from aiosv3.schemas.memory import MemoryAction, place_in, subject_of
from aiosv3.schemas.records import JournalKind, StepFailure

if TYPE_CHECKING:
    from tests.agents.conftest import Play

MEMORY = {
    "id": "a" * 40,
    "version": 7,
    "text": "likes tea",
    "kind": "fact",
    "scope": "tenant",
    "source": "call-7",
    "valid_from": 1_750_000_000_000,
    "recorded_at": 1_750_000_000_500,
    "valid_to": None,
    "partition": 1,
    "offset": 7,
    "score": 0.5,
    "new in a later release": True,
}


def recalled(*memories: dict[str, Any]) -> dict[str, Any]:
    return {"memories": memories, "as_of": {"1": 8}, "lag": 3, "degraded": True}


def step_of(play: Play, place: int = -1) -> MemoryStep:
    step = play.asked[place]
    assert isinstance(step, MemoryStep)
    return step


def test_a_subject_is_a_keyed_hash_from_the_start(play: type[Play]) -> None:
    async def program(ctx: Context, _value: str) -> str:
        ctx.remember("likes tea", subject="ada", scope="team:a", expires=timedelta(days=1), name="it")
        await ctx.forget(subject="ada")
        return "done"

    one = play(program)
    remember, forget = step_of(one, 0).query, step_of(one, 1).query
    assert remember.subject == forget.subject == subject_of(one.run.secret, "acme", "ada")
    assert "ada" not in repr((remember, forget))
    assert remember.place == forget.place == place_in(remember.memory_id or "") == step_of(one, 0).key
    assert (remember.scope, remember.kind, remember.action) == ("team:a", "fact", MemoryAction.REMEMBER)
    assert remember.expires_at == one.task.timestamp + 86_400_000
    assert describe(one.asked[0]) == ("remember", "likes tea")
    assert describe(one.asked[1])[0] == "forget"


def test_the_same_text_is_the_same_memory_and_a_key_another(play: type[Play]) -> None:
    async def program(ctx: Context, value: str) -> str:
        for text, key in (("a", None), ("a", None), ("b", None), ("a", "k"), ("b", "k")):
            ctx.remember(text, key=key)
        return await ctx.recall(value) and "done"  # type: ignore[return-value]

    ids = [step_of(play(program), place).query.memory_id for place in range(5)]
    assert ids[0] == ids[1] != ids[2]
    assert ids[3] == ids[4]
    assert ids[3] not in ids[:3]


def test_what_was_found_can_be_cited(play: type[Play]) -> None:
    async def program(ctx: Context, _value: str) -> str:
        found = await ctx.recall("tea", k=3, kinds=["fact"], since=datetime(2026, 1, 1, tzinfo=UTC))
        return (
            f"{found[0].text} {found[0].citation} {found.as_of} {found.lag} {found.degraded} {found[0].valid_from:%Y}"
        )

    one = play(program)
    assert step_of(one).query.since == 1_767_225_600_000
    one.result("1", recalled(MEMORY))
    assert one.ended.value == "likes tea memory.events/1/7 {1: 8} 3 True 2025"


@pytest.mark.parametrize("content", ['{"memories": [{"id": "x"}], "as_of": {}, "lag": 0}', "[]", '{"memories": 7}'])
def test_an_answer_that_is_none_is_an_error(play: type[Play], content: str) -> None:
    async def program(ctx: Context, _value: str) -> str:
        with pytest.raises(MemoryUnavailable):
            await ctx.recall()
        return "told"

    one = play(program)
    one.feed(one.record(JournalKind.ANSWER, "1", content=content))
    assert one.ended.value == "told"


def test_a_recall_names_what_the_task_has_written(play: type[Play]) -> None:
    async def program(ctx: Context, _value: str) -> str:
        noted = await ctx.remember("a")
        await ctx.recall("a")
        return noted.id

    one = play(program)
    one.result("1", {"id": "i", "partition": 1, "offset": 9})
    assert [(place.partition, place.offset) for place in step_of(one).query.positions] == [(1, 9)]
    one.result("2", recalled())
    assert one.ended.value == "i"


def test_a_refusal_is_raised_where_it_is_awaited(play: type[Play]) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            await ctx.remember("a")
        except MemoryRefused as error:
            return error.message
        return "no"

    one = play(program)
    failure = StepFailure("MemoryRefused", "because", retryable=False)
    one.fail("1", failure)
    assert one.ended.value == "because"


def test_writes_go_out_after_the_end_and_recalls_do_not(play: type[Play]) -> None:
    async def program(ctx: Context, _value: str) -> str:
        ctx.remember("kept")
        ctx.forget(id="0" * 40)
        ctx.recall("nobody waits")
        return "done"

    one = play(program)
    assert one.ended.value == "done"
    assert [step_of(one, place).query.action.value for place in range(len(one.asked))] == ["REMEMBER", "FORGET"]
    assert [one.run.wants(step) for step in one.asked] == [True, True]


@pytest.mark.parametrize(
    "said",
    [{"trust": 3}, {"trust": -1}, {"importance": 2.0}, {"position": 2**31}, {"position": -1}, {"kind": "rumour"}],
)
def test_what_no_record_can_hold_fails_where_it_is_asked(play: type[Play], said: dict[str, Any]) -> None:
    async def program(ctx: Context, _value: str) -> str:
        with pytest.raises(ValueError, match=r"is from|no kind"):
            ctx.remember("a", **said)
        ctx.remember("half \ud800 of a pair", source="\ud800")
        return "done"

    one = play(program)
    assert one.ended.value == "done"
    assert [step_of(one).query.content, step_of(one).query.source] == ["half ? of a pair", "?"]


def test_what_was_known_as_of_an_answer_is_asked_for_by_its_offsets(play: type[Play]) -> None:
    async def program(ctx: Context, _value: str) -> str:
        for nonsense in ({}, {0: -1}):
            with pytest.raises(ValueError, match="as an answer has them"):
                ctx.recall("tea", as_of=nonsense)
        found = await ctx.recall("tea", as_of={1: 8, 0: 3})
        return found[0].heading

    one = play(program)
    assert [(place.partition, place.offset) for place in step_of(one).query.as_of_positions] == [(0, 3), (1, 8)]
    one.result(step_of(one).id, recalled({**MEMORY, "text": "# Guide > Install\n\nRun it."}))
    assert one.ended.value == "Guide > Install"
