"""The memory keeper: summaries and learning beside the conversation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from aiosv3.agents import Context, ModelUnavailable, agent
from aiosv3.agents.remembering import Candidate, Candidates, Window
from aiosv3.agents.remembering.keeper import Heard, keeper, memory_keeper
from aiosv3.agents.testing import MeshTest, Prompt

Rows = Callable[[Prompt], list[dict[str, Any]]]
WINDOW = Window(turns=3)
tidy = memory_keeper("tidy", window=WINDOW)
HEARD = Heard(conversation="call-7", subject="ada")


@agent
async def desk(ctx: Context, text: str) -> str:
    """Speaks, and leaves the rest to the keeper."""
    talk = await ctx.dialogue("call-7", text, subject="ada", scope="tenant", window=WINDOW, summarize=False)
    ctx.send(tidy, HEARD, key="ada")
    return f"{len(talk.turns)} {talk.summary.text if talk.summary else None}"


@pytest.fixture
def proposing(rows: Rows) -> Callable[[Prompt], Candidates]:
    """Each turn is a fact."""

    def proposed(prompt: Prompt) -> Candidates:
        return Candidates(notes=[Candidate(text=row["text"], kind="fact", turn=row["turn"]) for row in rows(prompt)])

    return proposed


def test_it_works_beside_the_conversation(
    by_rule: Callable[[Prompt], str], proposing: Callable[[Prompt], Candidates], rows: Rows
) -> None:
    mesh = MeshTest(desk, tidy)
    learning = mesh.model(proposing, output_type=Candidates)
    summaries = mesh.model(by_rule)
    texts = ["apples", "bread", "cheese"]
    assert [mesh.run(desk, text) for text in texts] == ["1 None", "2 None", "3 None"]
    mesh.crash = "everywhere"
    assert mesh.run(desk, "dates") == "4 None"
    mesh.crash = None
    assert mesh.run(desk, "eggs") == "2 apples bread cheese"
    texts.append("dates")
    facts = {one.text: (one.source, one.position) for one in mesh.memories() if one.kind == "fact"}
    assert facts == {text: ("call-7", number) for number, text in enumerate([*texts, "eggs"])}
    looked_at = [row["text"] for prompt in learning.asked for row in rows(prompt)]
    assert looked_at == [*texts, "eggs"], "no turn was looked at twice"
    assert summaries.calls == 1


def test_it_goes_on_where_it_stopped(
    by_rule: Callable[[Prompt], str], proposing: Callable[[Prompt], Candidates]
) -> None:
    mesh = MeshTest(desk, tidy)
    learning = mesh.model(proposing, output_type=Candidates)
    mesh.model(by_rule)
    mesh.run(desk, "apples")
    done = mesh.run(tidy, HEARD, key="ada")
    assert (done.learned, done.left, done.summarized_to) == ([], 0, None)
    other = mesh.run(tidy, HEARD.model_copy(update={"conversation": "call-8"}), key="ada")
    assert other.learned == []
    assert learning.calls == 1


def test_many_turns_are_looked_at_in_parts(proposing: Callable[[Prompt], Candidates], rows: Rows) -> None:
    @agent
    async def importing(ctx: Context, count: int) -> int:
        talk = await ctx.dialogue("call-7", subject="ada", scope="tenant", summarize=False)
        for number in range(count):
            talk.add("user", f"word{number}")
        return count

    quiet = memory_keeper("quiet", most=30, window=Window(turns=200))
    mesh = MeshTest(importing, quiet)
    learning = mesh.model(proposing, output_type=Candidates)
    mesh.run(importing, 45)
    done = mesh.run(quiet, HEARD, key="ada")
    assert [len(rows(prompt)) for prompt in learning.asked] == [20, 20, 5]
    assert [one.position for one in done.learned] == list(range(45))


def test_it_can_leave_learning_alone(by_rule: Callable[[Prompt], str]) -> None:
    only = memory_keeper("tidy", about=None, window=WINDOW)
    mesh = MeshTest(desk, only)
    mesh.model(by_rule)
    for text in ("a", "b", "c", "d"):
        mesh.run(desk, text)
    assert {one.kind for one in mesh.memories()} == {"episode", "summary"}


@pytest.mark.parametrize("scope", ["agent", "agent:desk", "team:", ""])
def test_it_shares_the_scope_of_the_turns(scope: str) -> None:
    """Another agent's own scope is nobody else's."""
    with pytest.raises(ValidationError, match="scope"):
        Heard(conversation="c", scope=scope)


def test_the_ready_one_has_limits() -> None:
    assert keeper.name == "memory-keeper"
    assert keeper.limits.usd_micros == 100_000
    assert keeper.order.value == "serial"


def test_turns_that_a_model_cannot_read_hold_nothing_up(by_rule: Callable[[Prompt], str]) -> None:
    mesh = MeshTest(desk, tidy)
    mesh.model("no JSON", output_type=Candidates)
    mesh.model(by_rule)
    for text in ("a", "b", "c", "d"):
        mesh.run(desk, text)
    assert any(one.kind == "summary" for one in mesh.memories())
    done = mesh.run(tidy, HEARD, key="ada")
    assert (done.refused, done.left, done.learned) == (0, 0, []), "they are not asked about again"


def test_what_no_model_could_look_at_is_looked_at_later(proposing: Callable[[Prompt], Candidates]) -> None:
    mesh = MeshTest(desk, tidy)
    mesh.model([ModelUnavailable], output_type=Candidates)
    learning = mesh.model(proposing, output_type=Candidates)
    mesh.run(desk, "apples")
    assert mesh.memories()[-1].kind == "episode"
    mesh.run(desk, "bread")
    assert [one.text for one in mesh.memories() if one.kind == "fact"] == ["apples", "bread"]
    assert learning.calls == 1
