"""``ctx.progress``: told to whoever follows the task, and invisible to its replay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, OutsideStep
from aiosv3.agents.progress import Told
from aiosv3.schemas.records import Outcome

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]


async def quiet(ctx: Context, value: str) -> str:
    return await ctx.generate(value) + await ctx.generate("more")


async def telling(ctx: Context, value: str) -> str:
    ctx.progress("begun")
    first = await ctx.generate(value)
    ctx.progress(0.5)
    ctx.progress("nearly", 0.9)
    return first + await ctx.generate("more")


def test_a_text_a_fraction_or_both(play: NewPlay) -> None:
    task = play(telling, stream=0)
    assert task.run.progress.take() == [Told("progress.1", "begun", None)]
    task.answer("1")
    assert task.run.progress.take() == [Told("progress.2", None, 0.5), Told("progress.3", "nearly", 0.9)]
    assert task.run.progress.take() == []


def test_nothing_is_kept_for_nobody(play: NewPlay) -> None:
    task = play(telling)
    task.answer("1")
    assert task.run.progress.take() == []


def test_it_is_no_step_so_it_may_come_and_go_with_any_change_of_the_code(play: NewPlay) -> None:
    """Journals of code without it fit code with it, and the other way round."""
    for before, after in ((quiet, telling), (telling, quiet)):
        task = play(before)
        task.answer("1", "a")
        task.answer("2", "b")
        assert task.ids() == ["1", "2"]
        again = task.replay(after)
        assert again.run.stuck is None
        assert again.ended.value == task.ended.value == "ab"


def test_a_task_that_only_tells_ends(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        for done in range(1_000):
            ctx.progress(done / 1_000)
        return "done"

    task = play(program, stream=0)
    assert task.ended.outcome is Outcome.OK
    told = task.run.progress.take()
    assert len(told) == 64
    assert told[-1] == Told("progress.1000", None, 0.999), "of very many the last are kept"


def test_a_long_text_is_cut(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        ctx.progress("x" * 10_000)
        return "done"

    (told,) = play(program, stream=0).run.progress.take()
    assert told.text == "x" * 4_000


@pytest.mark.parametrize("said", [(1.5,), (-0.1,), (float("nan"),), ("half", 50)])
def test_what_is_no_fraction_is_an_error_whether_somebody_follows_or_not(play: NewPlay, said: Any) -> None:
    async def program(ctx: Context, _value: str) -> str:
        ctx.progress(*said)
        return "done"

    for stream in (None, 0):
        failed = play(program, stream=stream).failed
        assert (failed.type, "from 0 to 1" in failed.message) == ("ValueError", True)


def test_two_fractions_are_one_too_many(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        ctx.progress(0.1, 0.2)
        return "done"

    assert play(program).failed.type == "TypeError"


def test_it_belongs_to_the_task_itself(play: NewPlay) -> None:
    """From a thread it would come at no moment of the task."""
    kept: list[Context] = []

    async def program(ctx: Context, _value: str) -> str:
        kept.append(ctx)
        await asyncio.sleep(1)
        return "done"

    play(program, stream=0)
    with pytest.raises(OutsideStep):
        kept[0].progress("from elsewhere")
