"""What a task does with records that do not fit, that come too late, or that end it (protocol rules 20, 21 and 25)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context
from aiosv3.agents.facts import JournalEntry
from aiosv3.agents.task import Parked
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]
HALF_HOUR_MS = 1_800_000

# -- rule 20: divergence ----------------------------------------------------------------------------------------------


async def asks_a(ctx: Context, _value: str) -> str:
    return await ctx.generate("a") + await ctx.generate("then")


async def asks_b(ctx: Context, _value: str) -> str:
    return await ctx.generate("b") + await ctx.generate("then")


async def runs(ctx: Context, _value: str) -> str:
    return str(await ctx.run(lambda: 1)) + await ctx.generate("then")


async def nothing(_ctx: Context, _value: str) -> str:
    await asyncio.sleep(HALF_HOUR_MS)
    return "slept"


@pytest.mark.parametrize("changed", [asks_b, runs, nothing])
def test_rule_20_changed_code_is_stuck_and_asks_for_nothing(play: NewPlay, changed: Any) -> None:
    task = play(asks_a)
    task.answer("1", "a")
    again = task.replay(changed)
    assert "step 1 asks for something else" in (again.run.stuck or "")
    assert again.asked == []
    assert again.run.finish is None


def test_rule_20_an_answer_to_a_step_that_was_never_asked_is_a_divergence(play: NewPlay) -> None:
    async def shorter(ctx: Context, _value: str) -> str:
        return await ctx.generate("a")

    async def longer(ctx: Context, value: str) -> str:
        first = ctx.generate("a")
        return await ctx.generate("b") + await first

    task = play(longer)
    task.answer("2", "b")
    again = task.replay(shorter)
    assert again.run.stuck == "the journal answers step 2, which this code has not asked for"
    assert again.asked == []


def test_rule_20_a_stuck_task_takes_no_further_records_and_runs_its_finally_blocks(play: NewPlay) -> None:
    ended: list[str] = []

    async def changed(ctx: Context, _value: str) -> str:
        try:
            await ctx.generate("b")
        finally:
            ended.append("finally")
        return "done"

    task = play(asks_a)
    task.fail("1", None)
    task.value("1", None, request_hash="0" * 16)
    stuck = play(changed)
    stuck.value("1", "x", request_hash="0" * 16)
    assert stuck.run.stuck is not None
    assert ended == ["finally"]
    stuck.answer("1")
    assert stuck.run.finish is None
    assert stuck.run.take() == []


def test_rule_20_the_version_that_began_is_kept(play: NewPlay) -> None:
    task = play(asks_a)
    task.started("v1")
    task.started("v2")
    assert task.run.code_version == "v1"


# -- rule 21: steps that nobody awaits --------------------------------------------------------------------------------


async def sends_and_ends(ctx: Context, _value: str) -> str:
    ctx.send("child", "one way")
    return "done"


def test_rule_21_a_send_that_nobody_awaits_is_sent(play: NewPlay) -> None:
    task = play(sends_and_ends)
    assert task.ended.value == "done"
    assert task.ids() == ["1"]


def test_rule_21_a_call_that_nobody_awaits_is_dropped_when_the_task_ends(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        ctx.call("child", "never mind")
        return "done"

    assert play(program).ids() == []


def test_rule_21_a_replay_skips_a_send_that_is_journaled(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        ctx.send("child", "one way")
        return await ctx.generate("a")

    task = play(program)
    task.value("1")
    assert task.replay().ids() == ["2"]


def test_rule_21_a_replay_skips_a_send_of_a_task_that_waited_for_nothing(play: NewPlay) -> None:
    task = play(sends_and_ends)
    task.value("1")
    assert task.replay().ids() == []


# -- rule 25: cancel --------------------------------------------------------------------------------------------------


def test_rule_25_a_cancel_before_the_finishing_record_wins(play: NewPlay) -> None:
    task = play(asks_a)
    task.answer("1")
    task.cancel()
    task.answer("2", "too late")
    assert task.ended.outcome is Outcome.CANCELLED
    assert task.ended.journal_offset == 101
    assert task.replay().view() == task.view()


def test_rule_25_a_cancel_after_the_finishing_record_is_ignored(play: NewPlay) -> None:
    task = play(asks_a)
    task.answer("1")
    task.answer("2")
    task.cancel()
    assert task.ended.outcome is Outcome.OK
    assert task.replay().view() == task.view()


def test_rule_25_a_task_that_is_cancelled_first_never_starts(play: NewPlay) -> None:
    started: list[str] = []

    async def program(_ctx: Context, value: str) -> str:
        started.append(value)
        return value

    task = play(program, begin=False)
    task.cancel()
    assert started == []
    assert task.ended.outcome is Outcome.CANCELLED


def test_rule_25_cleanup_of_a_cancelled_task_runs_and_sends_nothing(play: NewPlay) -> None:
    seen: list[str] = []

    async def program(ctx: Context, _value: str) -> str:
        try:
            return await ctx.generate("a")
        except asyncio.CancelledError:
            seen.append("cancelled")
            try:
                ctx.send("child", "sorry")
            except Parked:
                seen.append("parked")
            raise

    task = play(program)
    assert task.cancel() == []
    assert seen == ["cancelled", "parked"]
    assert task.run.take() == []


@pytest.mark.parametrize("stubborn", ["spins", "goes on", "exits"])
def test_rule_25_an_agent_cannot_refuse_to_be_cancelled(play: NewPlay, stubborn: str) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            await ctx.generate("a")
        except asyncio.CancelledError:
            if stubborn == "exits":
                sys.exit(3)
            while stubborn == "spins":
                await asyncio.sleep(0)
        return "as if nothing had happened"

    task = play(program)
    task.cancel()
    assert task.ended.outcome is Outcome.CANCELLED


# -- what the worker may do with a run --------------------------------------------------------------------------------


def test_close_runs_the_finally_blocks_and_sends_nothing(play: NewPlay) -> None:
    seen: list[str] = []

    async def program(ctx: Context, _value: str) -> str:
        try:
            return await ctx.generate("a")
        finally:
            seen.append("finally")
            try:
                ctx.generate("again")
            except Parked:
                seen.append("parked")

    task = play(program)
    task.run.close()
    task.run.close()
    assert seen == ["finally", "parked"]
    assert task.run.take() == []
    assert task.run.finish is None


def test_records_before_the_start_change_nothing(play: NewPlay) -> None:
    task = play(asks_a, begin=False)
    record = JournalRecord("t", 7, None, None, JournalKind.SIGNAL, Outcome.OK)
    task.feed(record)
    task.run._run()
    assert task.run.finish is None
    assert task.run.stuck is None


def test_a_carry_changes_nothing(play: NewPlay) -> None:
    task = play(asks_a)
    task.run.feed(JournalEntry(0, 0, JournalRecord("t", 7, "9", None, JournalKind.CARRY, Outcome.OK)))
    assert set(task.run.waiting) == {"1"}
    assert task.run.stuck is None
