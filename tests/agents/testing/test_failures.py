"""How a test fails: at once, and in words that say what to do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from aiosv3.agents import Context, StepTimeout, agent
from aiosv3.agents.testing import NEVER, MeshFailure, MeshTest, NeverFinishes, NotScripted, TaskStuck
from aiosv3.schemas.errors import AiosError


@agent
async def asking(ctx: Context, word: str) -> str:
    return await ctx.generate(f"what is {word}?")


@agent
async def calling(ctx: Context, word: str) -> str:
    found: str = await ctx.call("elsewhere", word)
    return found


@agent(deadline=timedelta(days=100_000))
async def eternal(ctx: Context, word: str) -> str:
    return await ctx.generate(word)


@pytest.mark.parametrize("failure", [NotScripted, NeverFinishes, MeshFailure])
def test_they_are_assertions(failure: type[Exception]) -> None:
    assert issubclass(failure, AssertionError)


def test_a_model_without_a_script() -> None:
    with pytest.raises(NotScripted) as caught:
        MeshTest(asking).run(asking, "love")
    assert str(caught.value).startswith(
        "agent asking asked a model (step 1) and no script fits: 'what is love?'\nsay what it answers: mesh.model("
    )


def test_answers_that_are_used_up() -> None:
    mesh = MeshTest(asking)
    mesh.model(["one"])
    mesh.run(asking, "a")
    with pytest.raises(NotScripted, match="all the answers given for it are used up"):
        mesh.run(asking, "b")


def test_an_agent_that_is_not_there() -> None:
    mesh = MeshTest(calling)
    with pytest.raises(
        NotScripted, match=r"agent elsewhere, which is not in this test: 'a'\n.*mesh\.agent\('elsewhere'"
    ):
        mesh.run(calling, "a")
    again = MeshTest(calling)
    again.agent("elsewhere", [])
    with pytest.raises(NotScripted, match="agent elsewhere has no answer left for 'a'"):
        again.run(calling, "a")


def test_a_deadline_says_what_was_waited_for() -> None:
    mesh = MeshTest(asking)
    mesh.model(NEVER)
    with pytest.raises(StepTimeout) as caught:
        mesh.run(asking, "a")
    assert caught.value.__notes__ == ["task asking-1 had no answer for step 1 (model: what is a?)"]


def test_what_can_never_end_fails_instead_of_hanging() -> None:
    mesh = MeshTest(eternal)
    mesh.model(NEVER)
    with pytest.raises(NeverFinishes) as caught:
        mesh.run(eternal, "a")
    assert "step 1 (model: a)" in str(caught.value)


def test_a_deadlock_of_the_agents_own() -> None:
    @agent
    async def locked(ctx: Context, word: str) -> str:
        await asyncio.Event().wait()
        return word

    with pytest.raises(Exception, match="waits for something that no step will bring"):
        MeshTest(locked).run(locked, "a")


def test_input_and_output_outside_of_run_name_the_cure() -> None:
    @agent
    async def reaching(ctx: Context, word: str) -> str:
        await asyncio.get_running_loop().run_in_executor(None, str)
        return word

    with pytest.raises(Exception, match=r"wrap it in ctx\.run"):
        MeshTest(reaching).run(reaching, "a")


def test_a_task_that_is_stuck_is_not_waited_for() -> None:
    async def other(ctx: Context, word: str) -> str:
        return await ctx.generate(f"what was {word}?")

    mesh = MeshTest(asking)
    mesh.model("love", takes=timedelta(minutes=1))
    task = mesh.start(asking, "love")
    mesh.deploy(replace(asking, function=other))
    began = mesh.now
    with pytest.raises(TaskStuck, match=r"task asking-1 is stuck: step 1 asks for something else"):
        task.result()
    assert mesh.now - began < timedelta(minutes=2)


def test_a_worker_that_stopped_is_named() -> None:
    mesh = MeshTest(eternal)
    mesh.model(NEVER)
    task = mesh.start(eternal, "a")
    mesh.advance(timedelta(hours=1))
    (tenure,) = mesh._world.processes[0].tenures
    tenure.fail(AiosError("out of order"))
    with pytest.raises(MeshFailure, match="worker eternal-1 has stopped: AiosError: out of order"):
        task.result()
