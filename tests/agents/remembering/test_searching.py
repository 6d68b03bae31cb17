"""Searches that a model helps with, and the plain recall where it does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.agents import (
    BudgetExceeded,
    ClearanceDenied,
    Context,
    Memories,
    Memory,
    ModelRefused,
    ModelUnavailable,
    agent,
)
from aiosv3.agents.remembering import Expand, Queries, Ranks, Rerank
from aiosv3.agents.remembering.searching import _fused
from aiosv3.agents.testing import NEVER, MeshTest, Prompt

Rows = Callable[[Prompt], list[dict[str, Any]]]
TEXTS = ("the flat has a balcony", "rent is due on Monday", "the landlord is called Kim", "Monday is a holiday")


def told(found: Memories) -> list[str]:
    return [*(one.text for one in found), f"{found.expanded} {found.reranked} {found.degraded}"]


@agent
async def expanding(ctx: Context, query: str) -> list[str]:
    return told(await ctx.recall(query, k=3, expand=True))


@agent
async def reranking(ctx: Context, query: str) -> list[str]:
    return told(await ctx.recall(query, k=2, rerank=Rerank(pool=4)))


@agent
async def plain(ctx: Context, query: str) -> list[str]:
    return told(await ctx.recall(query, k=3))


def known(*agents: Any, crash: Any = "everywhere") -> MeshTest:
    mesh = MeshTest(*agents, crash=crash)
    for text in TEXTS:
        mesh.remember(text)
    return mesh


def test_other_words_find_more() -> None:
    mesh = known(expanding, plain)
    model = mesh.model(Queries(queries=["when is rent due", "", "apartment payment", "when is rent due"]))
    assert mesh.run(plain, "apartment payment landlord") == [TEXTS[2], "False False False"]
    found = mesh.run(expanding, "apartment payment landlord")
    assert found == [TEXTS[2], TEXTS[1], TEXTS[3], "True False False"]
    assert model.calls == 1


def test_a_model_puts_what_was_found_in_order(rows: Rows) -> None:
    mesh = known(reranking)
    model = mesh.model(Ranks(best_first=[3, 99, 3, 1]))
    shown = mesh.run(reranking, "the Monday")
    passages = [row["says"] for row in rows(model.asked[0]) if "says" in row]
    assert len(passages) == 4, "more than are asked for are looked at"
    assert shown == [passages[2], passages[0], "False True False"]


@pytest.mark.parametrize(
    "why",
    [
        ModelUnavailable,
        ModelRefused,
        ClearanceDenied,
        BudgetExceeded,
        "no JSON",
        Queries(queries=[" "]),
        Ranks(best_first=[0, -1]),
        NEVER,
    ],
)
def test_without_the_models_help_the_recall_is_the_plain_one(why: Any) -> None:
    """Refused, too dear, too late, nonsense: it says so, and is what it would have been."""
    mesh = known(expanding, reranking, plain, crash=None)
    mesh.model(why)
    query = "rent landlord Monday"
    best = mesh.run(plain, query)[:3]
    assert mesh.run(expanding, query) == [*best, "False False True"]
    assert mesh.run(reranking, query) == [*best[:2], "False False True"]


def test_it_costs_nothing_where_it_is_not_asked_for() -> None:
    @agent
    async def idle(ctx: Context, query: str) -> int:
        await ctx.recall(query, expand=Expand(), rerank=True)
        await ctx.recall("rent", k=1)
        found = await ctx.recall("balcony", rerank=True)
        return len(found)

    mesh = known(idle, crash=None)
    assert mesh.run(idle, "") == 1, "without a query, and of one memory, there is nothing to ask"
    assert mesh.calls == 0


def test_which_model_helps_can_be_said() -> None:
    @agent
    async def choosing(ctx: Context, query: str) -> int:
        wish = Expand(queries=1, model={"model": "small", "complexity": 0.1, "timeout": timedelta(seconds=1)})
        return len(await ctx.recall(query, expand=wish))

    mesh = known(choosing, crash=None)
    model = mesh.model(Queries(queries=["rent", "flat"]))
    assert mesh.run(choosing, "landlord") == 2
    (prompt,) = model.asked
    assert (prompt.route.model, prompt.route.complexity) == ("small", 0.1)


Ids = st.lists(st.sampled_from("abcdef"), unique=True)


@given(st.lists(Ids, min_size=1, max_size=4), st.integers(1, 6))
def test_fusing_keeps_each_once_and_knows_what_all_knew(answers: list[list[str]], most: int) -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 1, 1, tzinfo=UTC)

    def memory(name: str) -> Memory:
        return Memory(name, 1, name, "fact", "tenant", "", now, now, 0, 1)

    found = [
        Memories([*map(memory, ids)], as_of={0: number + 3, number + 1: 9}, lag=number)
        for number, ids in enumerate(answers)
    ]
    fused = _fused(found, most)
    ids = [one.id for one in fused]
    assert len(ids) == len(set(ids)) == min(most, len({one for names in answers for one in names}))
    assert fused.as_of[0] == 3
    assert fused.lag == len(answers) - 1
    if len(answers) == 1:
        assert ids == answers[0][:most]
