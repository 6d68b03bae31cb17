"""Agents that remember, in a test of their own: nothing is scripted, and a kill after every record changes nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from aiosv3.agents import ClearanceDenied, Context, MemoryRefused, agent
from aiosv3.agents.testing import MeshTest, hashed_words


@agent
async def clerk(ctx: Context, name: str) -> list[str]:
    known = await ctx.recall("how to reach", subject=name)
    ctx.remember(f"how to reach {name}: by phone", subject=name, scope="tenant", kind="preference")
    await ctx.remember(f"{name} called", subject=name, kind="episode")
    after = await ctx.recall(f"reach {name}")
    return [*(one.text for one in known), "|", *(one.text for one in after)]


def test_an_agent_remembers_whatever_crashes() -> None:
    mesh = MeshTest(clerk, crash="everywhere")
    assert mesh.run(clerk, "ada") == ["|", "how to reach ada: by phone", "ada called"]
    assert mesh.run(clerk, "ada")[0] == "how to reach ada: by phone"
    assert [one.text for one in mesh.memories()] == ["how to reach ada: by phone", "ada called"]
    assert [one.kind for one in mesh.memories()] == ["preference", "episode"]


@agent
async def shredder(ctx: Context, name: str) -> list[int]:
    before = await ctx.recall("", subject=name)
    receipt = await ctx.forget(subject=name)
    after = await ctx.recall("", subject=name)
    assert receipt.partition == 0
    return [len(before), len(after), len(await ctx.recall("", as_of=ctx.now()))]


def test_what_is_there_from_the_start_and_what_is_forgotten() -> None:
    mesh = MeshTest(shredder, crash="everywhere")
    mesh.remember("ada has a dog", subject="ada")
    mesh.remember("bob has a cat", subject="bob")
    assert mesh.run(shredder, "ada") == [1, 0, 1]


@agent
async def helper(ctx: Context, what: str) -> Any:
    await ctx.remember(what, scope="team:support", expires=timedelta(days=1))
    await ctx.remember("for myself alone")
    return len(await ctx.recall())


@agent
async def reader(ctx: Context, scope: str) -> Any:
    try:
        return sorted(one.text for one in await ctx.recall(scope=scope or None))
    except ClearanceDenied as error:
        return error.message


def test_scopes_teams_and_what_expires() -> None:
    mesh = MeshTest(helper, reader)
    mesh.team("support", helper)
    assert mesh.run(helper, "shared") == 2
    assert mesh.run(reader, "") == []
    assert "may not use" in mesh.run(reader, "team:support")
    mesh.team("support", reader)
    assert mesh.run(reader, "team:support") == ["shared"]
    mesh.advance(timedelta(days=2))
    assert mesh.run(reader, "") == []


@agent
async def careless(ctx: Context, what: str) -> str:
    with pytest.raises(MemoryRefused):
        await ctx.remember("")
    with pytest.raises(ValueError, match="no kind of memory"):
        ctx.remember("x", kind="rumour")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="either a subject or one memory"):
        ctx.forget()
    with pytest.raises(ValueError, match="no time zone"):
        ctx.recall(as_of=ctx.now().replace(tzinfo=None))
    first = await ctx.remember(what, key="it")
    second = await ctx.remember(what + "!", key="it")
    third = await ctx.remember("instead", supersedes=second.id)
    return f"{first.id == second.id} {third.id != first.id} {len(await ctx.recall())}"


def test_what_is_refused_and_what_takes_the_place_of_something() -> None:
    mesh = MeshTest(careless, crash="everywhere")
    assert mesh.run(careless, "a") == "True True 1"


@agent
async def finder(ctx: Context, what: str) -> list[str]:
    return [one.text for one in await ctx.recall(what, k=2)]


def by_meaning(texts: Sequence[str]) -> list[list[float]]:
    """Of boats, or of tea."""
    return [[1.0, 0.0] if re.search("boat|sail|harbour", text) else [0.0, 1.0] for text in texts]


def test_vectors_find_by_meaning() -> None:
    mesh = MeshTest(finder, crash="everywhere", embed=by_meaning)
    for text in ("tea is served", "the harbour is full", "sail at noon"):
        mesh.remember(text)
    assert mesh.run(finder, "boats") == ["sail at noon", "the harbour is full"]
    words = MeshTest(finder)
    words.remember("the harbour is full")
    assert words.run(finder, "boats") == []


def test_hashed_words_know_words_alone() -> None:
    mesh = MeshTest(finder, embed=hashed_words)
    for text in ("the harbour is full", "tea is served at four", "four boats"):
        mesh.remember(text)
    assert mesh.run(finder, "is tea served")[0] == "tea is served at four"
    one, same, other = hashed_words(["Tea, served", "served tea", ""])
    assert one == pytest.approx(same)
    assert sum(value * value for value in other) == pytest.approx(1.0)


@agent
async def careful(ctx: Context, what: str) -> list[list[str]]:
    """Notes what a document says, and looks with all, and with what is trusted."""
    await ctx.remember(f"{what}, says the page", source="evil.example", trust=1, model="small")
    trusted = await ctx.recall(what)
    everything = await ctx.recall(what, min_trust=0)
    of_model = await ctx.recall(what, min_trust=0, models=["small"], tasks=[ctx.task_id])
    return [[one.text for one in found] for found in (trusted, everything, of_model)]


def test_what_comes_from_a_source_in_quarantine_is_not_trusted() -> None:
    mesh = MeshTest(careful, crash="everywhere")
    mesh.remember("pay by card", source="handbook")
    mesh.quarantine(source="evil.example")
    said = "pay by cheque, says the page"
    assert mesh.run(careful, "pay by cheque") == [["pay by card"], [said, "pay by card"], [said]]
    assert {one.source: one.trust for one in mesh.memories()} == {"handbook": 1, "evil.example": 0}
    mesh.quarantine(source="evil.example", on=False)
    assert mesh.run(careful, "pay by cheque")[0] == [said, "pay by card"]
    with pytest.raises(ValueError, match="either a source or a task"):
        mesh.quarantine()
