"""What a context offers is made of ordinary steps: they have the task's class, wishes and limits, and are replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from aiosv3.agents import BudgetExceeded, Context, Limits, agent
from aiosv3.agents.remembering import Candidate, Candidates, Window
from aiosv3.agents.steps import ModelStep
from aiosv3.agents.testing import MeshTest, Prompt

if TYPE_CHECKING:
    from tests.agents.conftest import Play


@agent(limits=Limits(model_calls=3))
async def desk(ctx: Context, text: str) -> str:
    talk = await ctx.dialogue("c", text, window=Window(turns=1), model="small", max_usd="0.001")
    await ctx.learn(talk.turns, complexity=0.2)
    return str(len(talk.turns))


def test_model_steps_are_routed_like_any_prompt(by_rule: Callable[[Prompt], str]) -> None:
    mesh = MeshTest(desk, crash="everywhere")
    mesh.model(Candidates(notes=[]), output_type=Candidates)
    model = mesh.model(by_rule)
    task = {"ce_complexity": "0.7", "ce_dataclassification": "confidential"}
    mesh.run(desk, "one", **task)
    mesh.run(desk, "two", **task)
    (prompt,) = model.asked
    route = prompt.route
    assert (route.agent, route.model, route.complexity, route.usd_micros) == ("desk", "small", 0.7, 1_000)
    assert {request.content.max_tokens for request in mesh.records("prompts")} >= {400}


def test_a_replay_asks_no_model(by_rule: Callable[[Prompt], str]) -> None:
    mesh = MeshTest(desk)
    mesh.model(Candidates(notes=[Candidate(text="a note", kind="fact", turn=1)]), output_type=Candidates)
    mesh.model(by_rule)
    mesh.run(desk, "one")
    handle = mesh.start(desk, "two")
    handle.result()
    calls = mesh.calls
    steps = mesh.steps(handle)
    assert mesh.calls == calls
    assert [step.kind for step in steps].count("model") == sum(isinstance(step.step, ModelStep) for step in steps) >= 2
    assert all(step.answer is not None for step in steps)


def test_they_count_against_the_limits_of_the_task(play: type[Play]) -> None:
    async def program(ctx: Context, _value: str) -> str:
        with pytest.raises(BudgetExceeded):
            await ctx.learn("hello")
        return "told"

    assert play(program, limits=Limits(model_calls=0)).ended.value == "told"


def test_what_a_model_found_says_so(by_rule: Callable[[Prompt], str]) -> None:
    @agent
    async def chat(ctx: Context, text: str) -> list[str]:
        talk = await ctx.dialogue("c", text, window=Window(turns=1), model="small")
        await ctx.learn(talk.turns)
        return [f"{name} {one.kind}" for name in ("small", "routed") for one in await ctx.recall(models=[name])]

    mesh = MeshTest(chat)
    mesh.model(Candidates(notes=[Candidate(text="a note", kind="fact", turn=1)]), output_type=Candidates)
    mesh.model(by_rule)
    assert mesh.run(chat, "one") == ["routed fact"]
    assert mesh.run(chat, "two") == ["small summary", "routed fact"]
