"""A kill after every record: what must stay the same, and that a test fails when it does not."""

from __future__ import annotations

import asyncio
import itertools
import random
from datetime import timedelta

import pytest

from aiosv3.agents import Agent, Context, ToolFailed, agent
from aiosv3.agents.task import TaskRun
from aiosv3.agents.testing import CrashChanged, MeshFailure, MeshTest, Prompt, TaskStuck
from aiosv3.agents.testing.world import World


@agent
async def leaf(ctx: Context, word: str) -> str:
    return await ctx.generate(f"leaf {word}")


@agent(deadline=timedelta(days=30))
async def tree(ctx: Context, word: str) -> list[str]:
    """Branches, a child, a local value, a week's sleep and a one-way send."""
    first, child = ctx.generate(f"one {word}"), ctx.call(leaf, word)
    dice = await ctx.run(random.random, output_type=float)
    await asyncio.sleep(7 * 86_400)
    ctx.send(leaf, "sent")
    seen = list(await asyncio.gather(first, child))
    return [*seen, await ctx.generate(f"two {seen} {dice}"), str(ctx.uuid()), ctx.now().isoformat()]


@agent
async def two(ctx: Context, word: str) -> str:
    first = await ctx.generate(f"first {word}")
    return await ctx.generate(f"second after {first}")


@pytest.fixture
def worlds(monkeypatch: pytest.MonkeyPatch) -> list[World]:
    """The repetitions that were played."""
    made: list[World] = []
    close = World.close

    def closing(world: World) -> None:
        made.append(world)
        close(world)

    monkeypatch.setattr(World, "close", closing)
    return made


def test_a_kill_after_each_record_changes_nothing(worlds: list[World]) -> None:
    mesh = MeshTest(tree, leaf, crash="everywhere")
    mesh.model(lambda prompt: prompt.text.upper())
    assert mesh.run(tree, "a")[:2] == ["ONE A", "LEAF A"]
    assert mesh.calls == 4
    records = len(mesh._world.history) - mesh._world.begun
    assert [world.struck is not None for world in worlds] == [True] * records
    assert records > 20
    words = [str(world.struck) for world in worlds]
    assert words[0] == "after record 1: tasks.tree task tree-1"
    assert "after record 2: journal.tree STARTED of task tree-1" in words
    assert any(text.endswith("journal.tree ANSWER of step 1 of task tree-1") for text in words)
    assert any(text.endswith("results.tree OK of task tree-1") for text in words)
    mesh.close()


def test_one_crash(worlds: list[World]) -> None:
    mesh = MeshTest(two, crash=3)
    mesh.model("x")
    mesh.run(two, "a")
    mesh.run(two, "b")
    (world,) = worlds
    assert str(world.struck).startswith("after record 3: prompts request two-1/1")


def test_each_result_is_checked_from_where_the_last_one_ended(worlds: list[World]) -> None:
    mesh = MeshTest(two, crash="everywhere")
    mesh.model("x")
    mesh.run(two, "a")
    before = len(worlds)
    mesh.run(two, "b")
    assert len(worlds) == 2 * before
    assert "two-2" in str(worlds[-1].struck)


def test_failures_are_checked_too(worlds: list[World]) -> None:
    @agent
    async def failing(ctx: Context, word: str) -> str:
        await ctx.generate(word)
        return str(await ctx.run(lambda: 1 / 0, attempts=1))

    mesh = MeshTest(failing, crash="everywhere")
    mesh.model("x")
    with pytest.raises(ToolFailed, match="division"):
        mesh.run(failing, "a")
    assert len(worlds) >= 6


def test_scripts_are_asked_once_whatever_crashes(worlds: list[World]) -> None:
    asked: list[str] = []

    def answer(prompt: Prompt) -> str:
        asked.append(prompt.text)
        return f"answer {len(asked)}"

    mesh = MeshTest(two, crash="everywhere")
    script = mesh.model(answer)
    assert mesh.run(two, "a") == "answer 2"
    assert asked == ["first a", "second after answer 1"]
    assert script.calls == mesh.calls == 2
    assert worlds


# -- what must not pass -----------------------------------------------------------------------------------------------


def run(dicey: Agent[str, str]) -> None:
    mesh = MeshTest(dicey, crash="everywhere")
    mesh.model(lambda prompt: f"<{prompt.text}>")
    mesh.run(dicey, "a")


def test_dice_in_a_request() -> None:
    @agent
    async def dicey(ctx: Context, word: str) -> str:
        return await ctx.generate(f"{word} {random.random()}")

    with pytest.raises(CrashChanged, match=r"(?s)after record 1: .*dicey-1/1 does not ask for the same"):
        run(dicey)


def test_dice_that_replay_finds_out() -> None:
    turn = itertools.count()

    @agent
    async def dicey(ctx: Context, word: str) -> str:
        first = await ctx.generate(f"{word} {next(turn)}")
        return await ctx.generate(first)

    with pytest.raises(MeshFailure) as caught:
        run(dicey)
    assert isinstance(caught.value, TaskStuck | CrashChanged)


def test_global_state_that_only_a_replay_sees() -> None:
    """The same in every run that is not interrupted."""
    alive: list[str] = []

    @agent
    async def dicey(ctx: Context, word: str) -> str:
        alive.append(word)
        again = len(alive) % 2 == 0
        first = await ctx.generate("again" if again else "first")
        alive.append(word)
        return first

    with pytest.raises(MeshFailure, match=r"with a crash after record \d+: "):
        run(dicey)


def test_dice_in_the_result() -> None:
    @agent
    async def dicey(ctx: Context, word: str) -> str:
        return await ctx.generate(word) + str(random.random())

    with pytest.raises(CrashChanged, match=r"the result is '<a>0\.\d+', without the crash it was '<a>0\.\d+'"):
        run(dicey)


def test_a_request_that_only_one_run_makes() -> None:
    turn = itertools.count()

    @agent
    async def dicey(ctx: Context, word: str) -> str:
        first = await ctx.generate(word)
        return await ctx.generate(word) if next(turn) else first

    with pytest.raises(CrashChanged, match="dicey-1/2 was made only with the crash"):
        run(dicey)


def test_an_answered_call_that_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that sends what the journal answers already would pay twice."""
    mesh = MeshTest(two, crash="everywhere")
    mesh.model("x")
    take = TaskRun.take
    monkeypatch.setattr(TaskRun, "wants", lambda run, step: run.finish is None)
    monkeypatch.setattr(TaskRun, "take", take)
    with pytest.raises(CrashChanged, match=r"request two-1/1 was made again on aios\.prompts, although its answer"):
        mesh.run(two, "a")


def test_a_lost_task_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new owner that forgets what it restored is found out, not waited for."""
    mesh = MeshTest(two, crash="everywhere")
    mesh.model("x")
    monkeypatch.setattr(TaskRun, "take", lambda run: [] if len(run._issued) > 1 else run._new)
    with pytest.raises(MeshFailure, match="two-1"):
        mesh.run(two, "a")


def test_a_value_of_run_is_the_same_in_every_repetition(worlds: list[World]) -> None:
    """The function runs again, as it does in production; its dice must not look like a defect of the agent."""
    drawn: list[float] = []

    def draw() -> float:
        drawn.append(random.random())
        return drawn[-1]

    @agent
    async def gambler(ctx: Context, word: str) -> float:
        return await ctx.run(draw, output_type=float)

    mesh = MeshTest(gambler, crash="everywhere")
    assert mesh.run(gambler, "a") == drawn[0]
    assert len(drawn) > 1
