"""Summaries: what they say they cover, who makes them, and what becomes of a bad one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.agents import Context, Memories, Memory, agent
from aiosv3.agents.remembering import Summary, Turn, Window
from aiosv3.agents.remembering.steps import whose_is
from aiosv3.agents.remembering.summaries import Whose, newest, summarize, summary_of, uncovered
from aiosv3.agents.testing import MeshTest, Prompt

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window(turns=4)
WHOSE = Whose("call-7", None, "agent", 1, "internal/1")


def memory(text: str, trust: int = 1) -> Memory:
    return Memory("a" * 40, 9, text, "summary", "agent", "call-7", NOW, NOW, 0, 9, trust=trust)


def turns(count: int, first: int = 0, **fields: Any) -> list[Turn]:
    return [
        Turn("user", f"t{number}", "call-7", number, place=number, **fields) for number in range(first, first + count)
    ]


NAMES = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), min_size=1, max_size=40).filter(str.strip)


@given(NAMES, st.text(max_size=80), *[st.integers(0, 2**40)] * 3)
def test_a_summary_says_what_it_covers(name: str, text: str, position: int, partition: int, before: int) -> None:
    whose = replace(WHOSE, conversation=name)
    made = Summary(text.strip() or "nothing", position, partition, before)
    assert summary_of(memory(made.written(whose)), whose) == replace(made, id="a" * 40)


@pytest.mark.parametrize(
    "text", ["", "no heading", "# call-7 > turns to 3\n\nx", "# a > turns to x > before y > z\n\nx"]
)
def test_what_is_no_summary_covers_nothing(text: str) -> None:
    assert summary_of(memory(text), WHOSE) is None


def test_the_summary_of_who_sees_less_is_none_for_who_sees_more() -> None:
    """It stands for turns that are not in it."""
    public = replace(WHOSE, view="public/1")
    written = Summary("short", 3, 0, 4).written(public)
    assert summary_of(memory(written), WHOSE) is None
    assert summary_of(memory(written), public) is not None


def test_of_several_the_one_counts_that_covers_most() -> None:
    found = [memory(Summary(text, 3, 0, before).written(WHOSE)) for text, before in (("a", 4), ("c", 9), ("b", 7))]
    summary = newest(Memories(found), WHOSE)
    assert summary is not None
    assert summary.text == "c"
    assert [turn.position for turn in uncovered(turns(12), summary)] == [9, 10, 11]
    assert len(uncovered(turns(12), None)) == 12


# -- making one -------------------------------------------------------------------------------------------------------


def maker(said: list[Turn], before: Summary | None = None, wait: float = 0) -> Any:
    """An agent that makes a summary of what a test says was said."""

    @agent
    async def make(ctx: Context, _value: str) -> str:
        whose = whose_is(ctx, "call-7", None, "tenant", 1)
        made = await summarize(ctx, whose, before, said, len(said), WINDOW, {})
        return "none" if made is None else f"{made.text} | {made.position} {made.before} {made.trust}"

    return make


def test_a_summary_goes_on_from_the_one_before(by_rule: Callable[[Prompt], str]) -> None:
    make = maker(turns(3, first=5), Summary("t0 t1", 4, 0, 5))
    mesh = MeshTest(make, crash="everywhere")
    mesh.model(by_rule)
    assert mesh.run(make, "") == "t0 t1 t5 t6 t7 | 7 3 1"


def test_it_is_trusted_no_more_than_what_is_in_it(by_rule: Callable[[Prompt], str]) -> None:
    for before in (None, Summary("old", 4, 0, 5, trust=0)):
        said = turns(2, first=5, trust=1) + turns(1, first=7, trust=1 if before else 0)
        make = maker(said, before)
        mesh = MeshTest(make)
        mesh.model(by_rule)
        assert mesh.run(make, "").endswith(" 0")
        assert {memory.trust for memory in mesh.memories()} == {0}


def test_one_of_two_makes_it(by_rule: Callable[[Prompt], str]) -> None:
    make = maker(turns(4))
    mesh = MeshTest(make, crash="everywhere")
    model = mesh.model(by_rule, takes=timedelta(seconds=5))
    first, second = mesh.start(make, "1"), mesh.start(make, "2")
    assert sorted([first.result(), second.result()]) == ["none", "t0 t1 t2 t3 | 3 4 1"]
    assert model.calls == 1
    assert mesh.run(make, "later") == "t0 t1 t2 t3 | 3 4 1", "what is there is taken"
    assert model.calls == 1


def test_who_has_begun_and_not_ended_holds_nobody_up_for_ever(by_rule: Callable[[Prompt], str]) -> None:
    make = maker(turns(4))
    mesh = MeshTest(make)
    mesh.model(["", "t0 and more"])
    assert mesh.run(make, "") == "none", "an empty answer is no summary"
    assert mesh.run(make, "") == "none", "and is not asked for again at once"
    mesh.advance(timedelta(minutes=11))
    assert mesh.run(make, "") == "t0 and more | 3 4 1"


def test_one_prompt_has_not_more_than_a_model_can_read(
    by_rule: Callable[[Prompt], str], rows: Callable[[Prompt], list[dict[str, Any]]]
) -> None:
    said = [Turn("user", f"t{number}" + "x" * 20_000, "call-7", number, place=number) for number in range(12)]
    make = maker(said)
    mesh = MeshTest(make)
    model = mesh.model(by_rule)
    told = mesh.run(make, "")
    shown = rows(model.asked[0])
    assert 1 <= len(shown) < 12
    assert all(len(row["text"]) <= 4_000 for row in shown)
    assert f"| {len(shown) - 1} {len(shown)} 1" in told, "it says how far it went"
    assert len(told) < 3_000
