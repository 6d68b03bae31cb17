"""``start`` as a step of one task: what it asks, what it gives, what a replay makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from aiosv3.agents import Context, Limits, RecordRejected, agent
from aiosv3.agents.replay import describe
from aiosv3.agents.steps import CallStep
from aiosv3.schemas.records import JournalKind, StepFailure

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]


class Letter(BaseModel):
    text: str


@agent
async def reader(_ctx: Context, letter: Letter) -> str:
    """Reads."""
    return letter.text


async def program(ctx: Context, _value: str) -> str:
    return await ctx.start(reader, Letter(text="hi"), task_id="own", key="k", max_usd="0.5")


def test_it_asks_for_a_root_and_gives_its_handle(play: NewPlay) -> None:
    task = play(program)
    (step,) = task.asked
    assert isinstance(step, CallStep)
    assert (step.agent, step.value, step.key, step.root) == ("reader", b'{"text":"hi"}', "k", "own")
    assert (step.wait, step.usd_micros, step.due) == (False, 500_000, None)
    assert describe(step) == ("start", 'reader {"text":"hi"}')
    task.value("1", "reader:3:own")
    assert task.ended.value == "reader:3:own"
    assert task.replay().view() == task.view()


def test_another_id_is_another_request(play: NewPlay) -> None:
    async def other(ctx: Context, _value: str) -> str:
        return await ctx.start("reader", {"text": "hi"}, task_id="another")

    task = play(program)
    task.value("1", "reader:3:own")
    assert "asks for something else" in (task.replay(play(other).agent).run.stuck or "")


def test_where_there_is_no_such_agent(play: NewPlay) -> None:
    caught: list[RecordRejected] = []

    async def careful(ctx: Context, _value: str) -> str:
        try:
            return await ctx.start("nobody", 1, task_id="x")
        except RecordRejected as error:
            caught.append(error)
            return "nobody"

    task = play(careful)
    failure = StepFailure("RecordRejected", "no topic", retryable=False, step="1")
    task.fail("1", failure, kind=JournalKind.VALUE)
    assert (task.ended.value, caught[0].step) == ("nobody", "1")


def test_it_counts_among_the_steps_of_the_task_for_good(play: NewPlay) -> None:
    async def eager(ctx: Context, _value: str) -> str:
        for number in range(3):
            await ctx.start("reader", number, task_id=str(number))
        return "done"

    task: Any = play(eager, limits=Limits(fan_out=2))
    task.value("1", "a")
    task.value("2", "b")
    assert task.failed.type == "BudgetExceeded"
