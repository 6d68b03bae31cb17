"""One task as a function of its journal: ids, order, values, divergence, cancel (protocol rules 17 to 21 and 25)."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context
from aiosv3.schemas.records import JournalKind, Outcome, StepFailure

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]
HALF_HOUR_MS = 1_800_000


# -- ids are given at the call ----------------------------------------------------------------------------------------


def test_ids_are_given_when_a_step_is_called_not_when_it_is_awaited(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        first, second = ctx.generate("first"), ctx.generate("second")
        return await second + await first

    task = play(program)
    assert task.ids() == ["1", "2"]
    task.answer("2", "b")
    task.answer("1", "a")
    assert task.ended.value == "ba"


def test_a_name_pins_the_id_of_a_step_and_moves_no_other(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return "".join(await asyncio.gather(ctx.generate("a"), ctx.generate("b", name="pinned"), ctx.generate("c")))

    assert play(program).ids() == ["1", "=pinned", "2"]


@pytest.mark.parametrize("name", ["twice", "with~tilde"])
def test_a_name_that_cannot_pin_a_step_is_refused_in_words(play: NewPlay, name: str) -> None:
    async def program(ctx: Context, _value: str) -> str:
        ctx.generate("a", name=name)
        return await ctx.generate("b", name=name)

    task = play(program)
    assert task.failed.type == "ValueError"
    assert name in task.failed.message


# -- asyncio inside a task --------------------------------------------------------------------------------------------


def test_gather_starts_its_steps_in_order_and_takes_answers_in_any(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return "".join(await asyncio.gather(*(ctx.generate(f"{n}") for n in range(3))))

    task = play(program)
    for step_id in "312":
        task.answer(step_id, step_id)
    assert task.ended.value == "123"


def test_a_task_group_cancels_its_other_branch_when_one_fails(play: NewPlay) -> None:
    ended: list[str] = []

    async def branch(ctx: Context, name: str) -> None:
        try:
            await ctx.generate(name)
        except asyncio.CancelledError:
            ended.append(name)
            raise

    async def program(ctx: Context, _value: str) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(branch(ctx, "a"))
                group.create_task(branch(ctx, "b"))
        except ExceptionGroup as failed:
            return str(failed.exceptions[0])
        return "no failure"

    task = play(program)
    task.fail("1", StepFailure("ModelRefused", "no", retryable=False))
    assert ended == ["b"]
    assert task.ended.value == "no"


def test_a_sleep_is_a_timer_step_that_is_due_after_the_last_record(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        await ctx.generate("a")
        await asyncio.sleep(30)
        return "rested"

    task = play(program)
    task.answer("1")
    assert task.ids() == ["1", "2"]
    assert task.steps["2"].due == task.run.now + 30_000
    task.fire("2")
    assert task.ended.value == "rested"


def test_a_timeout_in_time_leaves_no_timer_behind(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        async with asyncio.timeout(5):
            word = await ctx.generate("a")
        return word + await ctx.generate("b")

    task = play(program)
    assert task.ids() == ["1", "2"], "the timer is a step of its own"
    task.answer("2")
    assert set(task.run.waiting) == {"3"}
    task.fire("1")
    assert set(task.run.waiting) == {"3"}, "a timer that fired as it was cancelled changes nothing"
    task.answer("3")
    assert task.ended.outcome is Outcome.OK


def test_a_timeout_that_fires_first_cancels_the_wait(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        try:
            async with asyncio.timeout(5):
                return await ctx.generate("a")
        except TimeoutError:
            return await ctx.generate("late")

    task = play(program)
    task.fire("1")
    task.answer("2", "too late: the branch is gone")
    assert set(task.run.waiting) == {"3"}
    task.answer("3", "second")
    assert task.ended.value == "second"


def test_a_timer_that_is_cancelled_before_it_was_sent_is_no_step(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        asyncio.get_running_loop().call_later(60, lambda: None).cancel()
        return await ctx.generate("a")

    task = play(program)
    assert task.ids() == ["2"]
    assert set(task.run.waiting) == {"2"}


def test_wait_returns_with_the_first(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        branches = [asyncio.ensure_future(ctx.generate(name)) for name in "ab"]
        done, left = await asyncio.wait(branches, return_when=asyncio.FIRST_COMPLETED)
        return f"{len(done)} {len(left)} {done.pop().result()}"

    task = play(program)
    task.answer("2", "b")
    assert task.ended.value == "1 1 b"


# -- rule 17: records in journal order, each to quiescence ------------------------------------------------------------


async def crossing(ctx: Context, _value: str) -> str:
    """Two branches of two turns each; every prompt tells what was seen before."""
    seen: list[str] = []

    async def branch(name: str) -> None:
        for turn in range(2):
            seen.append(await ctx.generate(f"{name}{turn} after {seen}"))

    await asyncio.gather(branch("a"), branch("b"))
    return " ".join(seen)


def test_rule_17_a_replay_takes_the_records_one_by_one(play: NewPlay) -> None:
    """All answers at once would give ids by branch, not by arrival: `b` answers first here."""
    task = play(crossing)
    for step_id, text in (("2", "b0"), ("3", "b1"), ("1", "a0"), ("4", "a1")):
        task.answer(step_id, text)
    assert task.ended.value == "b0 b1 a0 a1"
    again = task.replay()
    assert again.run.stuck is None
    assert again.view() == task.view()


def test_rule_17_an_answer_is_seen_by_all_branches_before_the_next_record(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        turn = asyncio.Event()
        order: list[str] = []

        async def waits() -> None:
            await turn.wait()
            await asyncio.sleep(0)
            order.append("woken by the first record")

        async def asks(name: str) -> None:
            order.append(await ctx.generate(name))
            turn.set()

        await asyncio.gather(waits(), asks("a"), asks("b"))
        return ", ".join(order)

    task = play(program)
    task.answer("1", "a")
    task.answer("2", "b")
    assert task.ended.value == "a, woken by the first record, b"
    assert task.replay().view() == task.view()


# -- rule 18: values are used when they are read back -----------------------------------------------------------------


def test_rule_18_a_value_counts_when_it_is_read_back_and_the_first_of_a_step_wins(play: NewPlay) -> None:
    async def program(ctx: Context, _value: str) -> str:
        drawn = await ctx.run(lambda: 1, output_type=int)
        return f"{drawn} {await ctx.generate(f'about {drawn}')}"

    task = play(program)
    assert task.ids() == ["1"], "nothing is known of the value before it is on the journal"
    task.value("1", 5)
    task.value("1", 6)
    task.answer("2", "words")
    assert task.ended.value == "5 words"
    assert task.replay().view() == task.view()


def test_rule_18_a_second_answer_to_a_step_is_not_paid_twice(play: NewPlay) -> None:
    task = play(crossing)
    for _ in range(2):
        task.answer("1", "a0", cost=3)
    assert task.run.usage.cost_usd_micros == 3
    assert task.run.usage.model_calls == 1


def test_rule_18_now_is_the_time_of_the_last_record_and_never_steps_back(play: NewPlay) -> None:
    times: list[int] = []

    async def program(ctx: Context, _value: str) -> str:
        for turn in range(3):
            times.append(int(ctx.now().timestamp() * 1000))
            await ctx.generate(str(turn))
        return "done"

    task = play(program)
    content = '{"text": "x"}'
    task.feed(task.record(JournalKind.ANSWER, "1", content=content), at=9_000)
    task.feed(task.record(JournalKind.ANSWER, "2", content=content), at=4_000)
    began = task.task.timestamp
    assert times == [began, began + 9_000, began + 9_000]
    assert task.steps["3"].first_sent == began + 9_000
    live, times[:] = list(times), []
    task.replay()
    assert times == live


def test_rule_18_uuid_and_random_need_no_record_and_replay(play: NewPlay) -> None:
    drawn: list[Any] = []

    async def program(ctx: Context, _value: str) -> str:
        drawn.append((ctx.uuid(), ctx.uuid(), ctx.random().random()))
        await ctx.generate("a")
        drawn.append((ctx.uuid(), ctx.random().random()))
        return "done"

    task = play(program)
    assert task.ids() == ["4"]
    task.answer("4")
    assert len({*drawn[0][:2], drawn[1][0]}) == 3
    live, drawn[:] = list(drawn), []
    task.replay()
    assert drawn == live
    other = play(program, task_id="other")
    other.answer("4")
    assert not {item for draw in drawn[2:] for item in draw} & {item for draw in live for item in draw}


# -- rule 19: the outside ---------------------------------------------------------------------------------------------


async def _thread(_ctx: Context, _value: str) -> str:
    return await asyncio.to_thread(lambda: "outside")


async def _connect(_ctx: Context, _value: str) -> str:
    await asyncio.open_connection("127.0.0.1", 9)
    return "connected"


async def _sock(_ctx: Context, _value: str) -> str:
    with socket.socket() as outside:
        outside.setblocking(False)
        await asyncio.get_running_loop().sock_recv(outside, 1)
    return "received"


async def _process(_ctx: Context, _value: str) -> str:
    await asyncio.create_subprocess_exec("true")
    return "ran"


@pytest.mark.parametrize(
    ("program", "call"),
    [
        (_thread, "run_in_executor"),
        (_connect, "create_connection"),
        (_sock, "sock_recv"),
        (_process, "subprocess_exec"),
    ],
)
def test_rule_19_waiting_for_the_outside_names_the_call_and_what_to_do(
    play: NewPlay, program: Any, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if call == "create_connection":  # looks the host up first: in an agent that is refused as well
        monkeypatch.setattr(asyncio.base_events, "_ipaddr_info", lambda *_args: None, raising=False)
    task = play(program)
    failure = task.failed
    assert failure.type == "OutsideStep"
    assert f"loop.{call}()" in failure.message
    assert "ctx.run(" in failure.message


def test_rule_19_a_step_from_another_loop_is_refused(play: NewPlay) -> None:
    contexts: list[Context] = []

    async def program(ctx: Context, _value: str) -> str:
        contexts.append(ctx)
        return await ctx.generate("a")

    task = play(program)

    async def outside() -> str:
        with pytest.raises(Exception, match="only be called from inside their own task") as caught:
            contexts[0].generate("b")
        return type(caught.value).__name__

    with asyncio.Runner() as runner:
        assert runner.run(outside()) == "OutsideStep"
    assert set(task.run.waiting) == {"1"}


def test_rule_19_a_step_from_a_thread_is_refused_in_the_same_words(play: NewPlay) -> None:
    contexts: list[Context] = []
    caught: list[str] = []

    async def program(ctx: Context, _value: str) -> str:
        contexts.append(ctx)
        return await ctx.generate("a")

    def outside() -> None:
        try:
            contexts[0].generate("b")
        except Exception as error:  # noqa: BLE001
            caught.append(f"{type(error).__name__}: {error}")

    play(program)
    thread = threading.Thread(target=outside)
    thread.start()
    thread.join()
    assert caught[0].startswith("OutsideStep: steps can only be called from inside their own task")


def test_rule_19_what_is_called_outside_takes_no_id(play: NewPlay) -> None:
    """A function of ``ctx.run`` is not executed in a replay: an id that it took would be missing there."""
    contexts: list[Context] = []

    async def program(ctx: Context, _value: str) -> str:
        contexts.append(ctx)
        await ctx.run(lambda: 1)
        return await ctx.generate("after")

    async def inside_run() -> None:
        for misuse in (lambda: contexts[0].generate("x"), contexts[0].uuid, contexts[0].random):
            with pytest.raises(Exception, match="only be called from inside their own task"):
                misuse()

    task = play(program)
    with asyncio.Runner() as runner:
        runner.run(inside_run())
    task.value("1", 1)
    assert task.replay().view() == task.view()
