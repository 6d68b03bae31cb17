"""A task run again from its records: which steps, which answers, where it stands, in what it differs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aiosv3.agents import Context
from aiosv3.agents.replay import Replayed, describe, replay
from aiosv3.agents.tools import tool

if TYPE_CHECKING:
    from tests.agents.conftest import Play

SECRET = b"a secret of tests"


@tool("crm", "tickets")
def update(ticket: str) -> str:  # type: ignore[empty-body]
    """Sets the label of a ticket."""


async def everything(ctx: Context, value: str) -> str:
    ctx.send("log", {"a": 1})
    pair = ctx.generate("first " + "word " * 100), ctx.call("child", "x", key="k")
    await asyncio.gather(*pair)
    await ctx.run(_draw, output_type=float)
    await asyncio.sleep(60)
    await ctx.call(update, ticket="t1")
    await ctx.approve("Really?", by="finance")
    await ctx.ask("How much?", int)
    note = await ctx.receive("note", str)
    return note + await ctx.generate("last")


def _draw() -> float:
    return 0.5


def again(played: Play, program: Any = None) -> Replayed:
    agent = played.agent if program is None else program
    return replay(agent, played.task, played.journal, SECRET)


def filled(play: Callable[..., Play]) -> Play:
    one = play(everything)
    one.started()
    one.value("1")
    one.answer("2", "said")
    one.result("3", "done")
    one.value("4", 0.5)
    one.fire("5")
    one.result("6", "updated")
    return one


def test_steps_are_told_with_requests_and_answers(play: Callable[..., Play]) -> None:
    replayed = again(filled(play))
    told = [(step.id, step.kind, step.asks, step.answer is not None) for step in replayed.steps]
    assert told[1][2].endswith("…")
    assert len(told[1][2]) == 200
    assert [one[:2] for one in told] == [
        ("1", "send"),
        ("2", "model"),
        ("3", "call"),
        ("4", "run"),
        ("5", "timer"),
        ("6", "tool"),
        ("7", "approve"),
    ]
    assert [one[2] for one in told if one[0] != "2"] == [
        'log {"a":1}',
        'child "x"',
        "_draw",
        "until 2025-06-15T15:07:45+00:00",
        'crm/tickets update {"ticket":"t1"}',
        "finance: Really?",
    ]
    assert [one[3] for one in told] == [True] * 6 + [False]
    assert replayed.words() == "waits for step 7 (approve: finance: Really?)"
    assert (replayed.code_version, replayed.forged, replayed.stuck) == ("v1", 0, None)


def test_messages_answer_receives(play: Callable[..., Play]) -> None:
    one = filled(play)
    approved = {"approved": True, "who": "ada", "when": 1, "comment": ""}
    one.result("7", approved)
    one.result("8", 7)
    waiting = again(one)
    assert waiting.words() == "waits for step 9 (receive: message note)"
    one.feed(one.record(_signal(), None, message="note", content=json.dumps("hello")))
    replayed = again(one)
    assert replayed.steps[8].answer is one.journal[-1]
    assert replayed.steps[9].id == "10"
    one.answer("10", " world")
    ended = again(one)
    assert ended.words() == "ended OK"
    assert ended.finish is not None
    assert ended.finish.value == "hello world"


def _signal() -> Any:
    from aiosv3.schemas.records import JournalKind

    return JournalKind.SIGNAL


def test_what_a_deadline_cut_off_is_told(play: Callable[..., Play]) -> None:
    one = filled(play)
    one.fire()
    ended = again(one)
    assert ended.unanswered() == "step 7 (approve: finance: Really?)"


def test_a_cancel_that_comes_first_starts_nothing(play: Callable[..., Play]) -> None:
    one = play(everything, begin=False)
    one.cancel()
    replayed = again(one)
    assert (replayed.steps, replayed.words()) == ([], "ended CANCELLED")


def test_a_divergence_is_named(play: Callable[..., Play]) -> None:
    async def other(ctx: Context, value: str) -> str:
        return await ctx.generate("something else")

    one = filled(play)
    replayed = again(one, play(other).agent)
    assert replayed.stuck is not None
    assert replayed.words().startswith("stuck: ")


def test_answers_of_another_mesh_are_counted(play: Callable[..., Play]) -> None:
    one = filled(play)
    replayed = replay(one.agent, one.task, one.journal, b"another secret")
    assert replayed.forged > 0


def test_a_timed_out_timer_is_not_answered(play: Callable[..., Play]) -> None:
    async def quick(ctx: Context, value: str) -> str:
        async with asyncio.timeout(timedelta(minutes=1).total_seconds()):
            return await ctx.generate("quick")

    one = play(quick)
    one.answer("2", "said")
    steps = again(one).steps
    assert [(step.kind, step.answer is not None) for step in steps] == [("timer", False), ("model", True)]


def test_unknown_steps_have_a_name_too() -> None:
    from aiosv3.agents.steps import Step

    assert describe(Step("1", "hash", 0)) == ("", "")
