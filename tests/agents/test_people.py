"""``approve`` and ``ask`` as steps of one task: typed, replayed, and divergent when the question changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel, Field

from aiosv3.agents import Approval, Context, Denied, InvalidContent, StepTimeout
from aiosv3.agents.people import approval_content
from aiosv3.agents.steps import PersonStep
from aiosv3.schemas.people import QuestionKind

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]
WHEN_MS = 1_750_000_000_000


class Choice(BaseModel):
    plan: Literal["small", "large"]
    seats: int = Field(ge=1)


def approving(text: str = "Refund?", by: str | None = "finance") -> Any:
    async def program(ctx: Context, _value: str) -> str:
        approval = await ctx.approve(text, by=by, timeout=timedelta(minutes=1), name="refund")
        return repr(approval)

    return program


def test_an_approval_says_who_when_and_what_they_added(play: NewPlay) -> None:
    task = play(approving())
    (step,) = task.asked
    assert isinstance(step, PersonStep)
    assert (step.id, step.kind, step.text, step.role) == ("=refund", QuestionKind.APPROVE, "Refund?", "finance")
    assert (step.due, step.output_schema) == (task.task.timestamp + 60_000, None)
    task.result("=refund", json.loads(approval_content("ann", WHEN_MS, "fine", approved=True)))
    expected = Approval("ann", datetime.fromtimestamp(WHEN_MS / 1000, UTC), "fine")
    assert task.ended.value == repr(expected)
    assert task.replay().view() == task.view()


def test_a_no_is_denied_with_who_and_comment(play: NewPlay) -> None:
    caught: list[Denied] = []

    async def program(ctx: Context, _value: str) -> str:
        try:
            await ctx.approve("Refund?")
        except Denied as error:
            caught.append(error)
            raise
        return "paid"

    task = play(program)
    task.result("1", json.loads(approval_content("ann", WHEN_MS, "too much", approved=False)))
    assert (caught[0].who, caught[0].comment, caught[0].step) == ("ann", "too much", "1")
    assert (task.failed.type, task.failed.message) == ("Denied", "denied by ann: too much")


@pytest.mark.parametrize("content", [{}, {"approved": True}, [1], {"approved": True, "who": "a", "when": "x"}])
def test_an_answer_that_is_none_fails_the_step_not_the_worker(play: NewPlay, content: Any) -> None:
    task = play(approving())
    task.result("=refund", content)
    assert task.failed.type == "InvalidContent"


@pytest.mark.parametrize("approved", [None, 1, "yes"])
def test_only_true_is_a_yes(play: NewPlay, approved: Any) -> None:
    task = play(approving())
    task.result("=refund", {"approved": approved, "who": "ann", "when": WHEN_MS, "comment": ""})
    assert task.failed.type == "Denied"


def test_the_order_of_timer_and_answer_decides(play: NewPlay) -> None:
    yes = json.loads(approval_content("ann", WHEN_MS, None, approved=True))
    late, early = play(approving()), play(approving())
    late.fire("=refund")
    late.result("=refund", yes)
    early.result("=refund", yes)
    early.fire("=refund")
    assert late.failed.type == "StepTimeout"
    assert early.ended.failure is None
    for task in (late, early):
        assert task.replay().view() == task.view()


def test_an_answer_with_a_wrong_token_is_not_taken(play: NewPlay) -> None:
    task = play(approving())
    task.result("=refund", json.loads(approval_content("eve", WHEN_MS, None, approved=True)), token="guessed")
    assert (task.run.finish, task.run.forged) == (None, 1)


@pytest.mark.parametrize("changed", [approving("Refund 200?"), approving(by="legal"), approving(by=None)])
def test_a_question_that_changed_is_a_divergence(play: NewPlay, changed: Any) -> None:
    task = play(approving())
    task.result("=refund", json.loads(approval_content("ann", WHEN_MS, None, approved=True)))
    assert task.replay(changed).run.stuck is not None


def test_a_value_is_asked_for_with_its_schema_and_comes_back_typed(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        choice = await ctx.ask("Which plan?", Choice, by="sales")
        return f"{choice.plan} {choice.seats + 1}"

    task = play(program)
    (step,) = task.asked
    assert isinstance(step, PersonStep)
    assert step.kind is QuestionKind.ASK
    assert json.loads(step.output_schema or "")["properties"]["seats"]["minimum"] == 1
    task.result("1", {"plan": "large", "seats": 4})
    assert task.ended.value == "large 5"


def test_a_value_of_another_type_is_an_error_of_its_step(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            await ctx.ask("Which plan?", Choice)
        except InvalidContent as error:
            return f"{error.step} {error.retryable}"
        return "taken"

    task = play(program)
    task.result("1", {"plan": "large", "seats": 0})
    assert task.ended.value == "1 False"


def test_asking_can_time_out(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> int:
        try:
            return await ctx.ask("How many?", int, timeout=timedelta(seconds=5))
        except StepTimeout:
            return 0

    task = play(program, types=(str, int))
    task.fire("1")
    assert task.ended.value == 0
