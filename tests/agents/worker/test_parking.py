"""Tasks that are parked: when, what holds meanwhile, and that a parked task behaves as a live one (rules 8, 23, 24)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, Limits, Order
from aiosv3.schemas.records import Carry, JournalKind, Outcome
from aiosv3.streams.ownlog import Entry

from .collecting import left_by_twenty

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker

JOURNAL = "aios.journal.worker"
RESULTS = "aios.results.worker"


async def asks(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}")


async def asks_twice(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}") + await ctx.generate("and then")


async def echoes_or_asks(ctx: Context, value: str) -> str:
    return value if value == "quick" else await ctx.generate(f"about {value}")


def outcomes(stage: Stage, worker: Worker) -> list[tuple[str, Outcome, Any]]:
    return [(result.task_id, result.outcome, result.content) for result in stage.results(worker)]


def carries(stage: Stage) -> list[tuple[str, Carry]]:
    """All carries on the journal, in order."""
    return [(record.task_id, record.carry) for record in stage.journal() if record.carry is not None]


def parked(worker: Worker) -> dict[str, bool]:
    """Parked task -> it sleeps."""
    return {one.task_id: one.asleep for one in worker.tenure._table}


def open_and_parked(stage: Stage, program: Any = asks, **settings: Any) -> Worker:
    """A worker with task t1 parked after a second, asleep."""
    worker = stage.worker(program, **settings).squeezed(after=1.0).start()
    stage.task("t1")
    stage.advance(2.5)
    assert parked(worker) == {"t1": True}
    return worker


# -- when -------------------------------------------------------------------------------------------------------------


def test_rule_23_a_task_that_is_open_for_long_is_parked_and_no_longer_holds_the_base(stage: Stage) -> None:
    worker = stage.worker(asks).squeezed(after=60.0).start()
    stage.task("t1")
    stage.advance(58)
    assert parked(worker) == {}
    assert worker.tenure.offsets.base == 0
    stage.advance(5)
    assert parked(worker) == {"t1": True}
    assert worker.tenure.offsets.base == 1
    assert worker.tenure.live == {}
    stage.answer(stage.prompts()[0], "late")
    stage.settle()
    assert outcomes(stage, worker) == [("t1", Outcome.OK, "late")]
    assert parked(worker) == {}


def test_rule_08_the_heads_are_parked_while_the_completed_set_is_crowded(stage: Stage) -> None:
    worker = stage.worker(echoes_or_asks).squeezed(set_room=64).start()
    for number in range(30):
        stage.task(f"slow{number}", key=None)
        stage.task(f"quick{number}", "quick", key=None)
    stage.settle()
    stage.task("next", "quick", key=None)
    stage.advance(2)
    assert not worker.tenure.offsets.crowded()
    assert "next" in {task for task, _, _ in outcomes(stage, worker)}, "admission went on"
    heads = [f"slow{number}" for number in range(len(parked(worker)))]
    assert list(parked(worker)) == heads, "lowest offsets first, and no more than are in the way"
    assert 0 < len(heads) <= 16


def test_rule_08_no_more_are_admitted_until_the_heads_are_parked(stage: Stage) -> None:
    worker = stage.worker(echoes_or_asks).squeezed(set_room=8).start()
    held = stage.wire.hold("append", JOURNAL)
    stage.task("slow", key=None)
    stage.settle()
    held.release()
    stage.settle()
    carrying = stage.wire.hold("append", JOURNAL)
    for number in range(6):
        stage.task(f"slow{number}", key=None)
        stage.task(f"quick{number}", "quick", key=None)
    stage.settle()
    assert worker.tenure.offsets.full()
    done = len(outcomes(stage, worker))
    stage.task("late", "quick", key=None)
    stage.advance(3)
    assert len(outcomes(stage, worker)) == done
    carrying.release()
    stage.advance(3)
    assert "late" in {task for task, _, _ in outcomes(stage, worker)}


def test_a_crowded_set_of_an_earlier_owner_does_not_keep_out_the_inputs_that_crowd_it(stage: Stage) -> None:
    """Rule 8: nothing could make the set shorter but the inputs below it."""
    first = stage.worker(echoes_or_asks).squeezed(set_room=8).start()
    carrying = stage.wire.hold("append", JOURNAL)
    for number in range(6):
        stage.task(f"slow{number}", key=None)
        stage.task(f"quick{number}", "quick", key=None)
    stage.advance(2)
    first.kill()
    carrying.messages.clear()
    carrying.release()
    second = stage.worker(echoes_or_asks, "b").squeezed(set_room=8).start()
    stage.advance(3)
    for request in stage.prompts():
        stage.answer(request)
    stage.advance(1)
    assert {task for task, _, _ in outcomes(stage, second)} == {f"{w}{n}" for w in ("slow", "quick") for n in range(6)}


def test_beyond_the_live_limit_the_oldest_that_wait_are_parked_and_admission_goes_on(stage: Stage) -> None:
    worker = stage.worker(asks, live_limit=2).start()
    for number in range(5):
        stage.task(f"t{number}", key=None)
    stage.advance(2)
    assert stage.asked() == [f"t{number}/1" for number in range(5)]
    assert list(parked(worker)) == ["t0", "t1", "t2"]
    assert list(worker.tenure.live) == ["t3", "t4"]


def test_a_worker_full_of_running_functions_admits_no_more(stage: Stage) -> None:
    gate = asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        return "done"

    async def program(ctx: Context, _value: str) -> str:
        return await ctx.run(slow, output_type=str)

    worker = stage.worker(program, live_limit=1).start()
    stage.task("t1")
    stage.task("t2")
    stage.advance(3)
    assert list(worker.tenure.live) == ["t1"]
    gate.set()
    stage.advance(3)
    assert [result.task_id for result in stage.results(worker)] == ["t1", "t2"]


def test_a_task_that_is_ending_is_not_parked(stage: Stage) -> None:
    worker = stage.worker(asks).squeezed(after=1.0).start()
    results = stage.wire.hold("append", RESULTS)
    stage.task("t1")
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.advance(4)
    assert carries(stage) == []
    results.release()
    stage.settle()
    assert worker.tenure.offsets.base == 1


def test_a_carry_that_is_acknowledged_after_the_task_ended_parks_nothing(stage: Stage) -> None:
    worker = stage.worker(asks).squeezed(after=1.0).start()
    stage.task("t1")
    stage.settle()
    held = stage.wire.hold("ack", JOURNAL)
    stage.advance(2)
    stage.answer(stage.prompts()[0])
    stage.settle()
    held.release()
    stage.advance(1)
    assert len(carries(stage)) == 1
    assert outcomes(stage, worker) == [("t1", Outcome.OK, "ok")]
    assert (worker.tenure.offsets.base, parked(worker), worker.tenure.live) == (1, {}, {})


def test_a_burst_is_parked_in_bounded_pieces(stage: Stage) -> None:
    """The poll loop must not wait for thousands of carries at once."""
    worker = stage.worker(asks).squeezed(after=1.0).start()
    for number in range(200):
        stage.task(f"t{number}", key=None)
    stage.settle()
    held = stage.wire.hold("append", JOURNAL)
    stage.advance(4)
    assert worker.tenure._parking._writing == 64
    held.release()
    stage.settle()
    assert len(parked(worker)) == 200


# -- rule 23: the order of what is written ----------------------------------------------------------------------------


def test_rule_23_the_input_is_finished_only_when_its_carry_is_acknowledged(stage: Stage) -> None:
    worker = stage.worker(asks).squeezed(after=1.0).start()
    stage.task("t1")
    stage.settle()
    held = stage.wire.hold("append", JOURNAL)
    stage.advance(5)
    assert worker.tenure._parking._writing == 1
    assert worker.tenure.offsets.base == 0
    held.release()
    stage.settle()
    assert worker.tenure.offsets.base == 1


def test_rule_23_a_carry_holds_all_that_the_task_is_a_function_of(stage: Stage) -> None:
    worker = stage.worker(asks_twice).squeezed(after=10.0).start()
    offset = stage.task("t1", "question", headers=[("ce_tenant", b"acme")])
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.advance(13)
    ((task_id, carry),) = carries(stage)
    task = stage.broker.records("aios.tasks.worker", 0)[offset]
    assert task_id == "t1"
    assert (carry.task_key, carry.task_value, carry.task_timestamp) == (task.key, task.value, task.timestamp)
    assert [(header.name, header.value) for header in carry.task_headers] == task.headers
    journal = [record for record in stage.broker.records(JOURNAL, 0) if record.offset < carry.upto]
    assert [(e.offset, e.timestamp, e.value) for e in carry.entries] == [
        (record.offset, record.timestamp, record.value) for record in journal if record.value is not None
    ]
    assert (carry.code_version, carry.resting) == ("v1", "v1")
    assert carry.own_upto == worker.tenure.own.known == 0
    assert [timer.step for timer in carry.timers] == ["deadline"]


def test_rule_10_the_journal_is_held_at_the_newest_upto_of_each_parked_task(stage: Stage) -> None:
    worker = open_and_parked(stage)
    ((_, carry),) = carries(stage)
    assert worker.tenure.journal_floor(()) == carry.upto
    assert worker.tenure.journal_floor(worker.tenure.offsets.stored()) == carry.upto
    stage.task("t2")
    stage.settle()
    stage.answer(stage.prompts()[1])
    stage.advance(1)
    assert worker.tenure.journal_floor(()) == carry.upto
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert worker.tenure.journal_floor(()) == worker.tenure._journal.next


def test_rule_10_an_early_cancel_holds_the_journal_beside_parked_tasks(stage: Stage) -> None:
    worker = stage.worker(asks).squeezed(after=1.0).start()
    cancel = stage.cancel("later")
    stage.task("t1")
    stage.advance(2.5)
    assert parked(worker) == {"t1": True}
    assert worker.tenure.journal_floor(()) == cancel.offset


def test_rule_09_the_own_log_is_held_at_the_own_upto_of_each_parked_task(stage: Stage) -> None:
    worker = stage.worker(echoes_or_asks).squeezed(after=1.0).start()
    stage.task("before", "quick")
    stage.task("t1")
    stage.advance(2.5)
    ((_, carry),) = carries(stage)
    assert carry.own_upto == 1
    for number in range(3):
        stage.task(f"q{number}", "quick")
    stage.settle()
    assert worker.tenure.own.known == 4
    assert worker.tenure.own_floor(worker.tenure.offsets.stored()) == 1
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert worker.tenure.own_floor(()) == 5


def test_rule_09_own_upto_says_no_more_than_memory_shows(stage: Stage) -> None:
    """What was forgotten since the task was admitted may hold a result of somebody else's."""
    worker = stage.worker(echoes_or_asks).squeezed(after=1.0).start()
    for name, value in (("a", "quick"), ("t1", "x"), ("b", "quick"), ("t2", "x"), ("c", "quick")):
        stage.task(name, value)
    stage.settle()
    worker.tenure.own.floor = 2
    worker.tenure.own.memory["t2"] = Entry(2, 3, 0)
    stage.advance(2.5)
    assert [(task, carry.own_upto) for task, carry in carries(stage)] == [("t1", 1)], "t2 has a result: it ends soon"


# -- sleep ------------------------------------------------------------------------------------------------------------


def test_a_sleeping_task_is_woken_by_its_answer_and_nothing_is_asked_again(stage: Stage) -> None:
    worker = open_and_parked(stage, asks_twice)
    stage.answer(stage.prompts()[0], "one ")
    stage.settle()
    assert parked(worker) == {"t1": False}
    assert stage.asked() == ["t1/1", "t1/2"]
    stage.answer(stage.prompts()[1], "two")
    stage.settle()
    assert outcomes(stage, worker) == [("t1", Outcome.OK, "one two")]


def test_a_woken_task_sleeps_again_and_remembers_what_came_meanwhile(stage: Stage) -> None:
    """Wakes with what it slept with, and all of it: nothing is written for that."""
    worker = open_and_parked(stage, asks_twice)
    stage.answer(stage.prompts()[0], "one ")
    stage.advance(10)
    assert parked(worker) == {"t1": True}
    assert len(carries(stage)) == 1
    stage.answer(stage.prompts()[1], "two")
    stage.settle()
    assert outcomes(stage, worker) == [("t1", Outcome.OK, "one two")]
    assert stage.asked() == ["t1/1", "t1/2"]


def test_what_came_while_the_carry_was_on_its_way_is_slept_with(stage: Stage) -> None:
    worker = stage.worker(asks_twice).squeezed(after=1.0).start()
    stage.task("t1")
    stage.settle()
    held = stage.wire.hold("ack", JOURNAL)
    stage.advance(2.5)
    stage.answer(stage.prompts()[0], "one ")
    stage.settle()
    assert stage.asked() == ["t1/1", "t1/2"]
    held.release()
    stage.settle()
    assert parked(worker) == {"t1": True}
    stage.answer(stage.prompts()[1], "two")
    stage.settle()
    assert outcomes(stage, worker) == [("t1", Outcome.OK, "one two")]


@pytest.mark.parametrize("how", ["alone", "gathered", "grouped", "first of two", "in time"])
def test_what_falls_asleep_leaves_nothing_to_the_collector(stage: Stage, how: str) -> None:
    """Thousands that fall asleep would lie about until Python looks for them, and that is seldom."""

    async def heard(ctx: Context, name: str) -> str:
        return await ctx.receive(name, str)

    async def program(ctx: Context, _value: str) -> str:
        if how == "alone":
            return await ctx.receive("go", str)
        if how == "gathered":
            return "".join(await asyncio.gather(ctx.receive("go", str), ctx.receive("on", str)))
        if how == "in time":
            async with asyncio.timeout(3_600):
                return await ctx.receive("go", str)
        async with asyncio.TaskGroup() as group:
            both = [group.create_task(heard(ctx, name)) for name in ("go", "on")]
            if how == "first of two":
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return "heard"

    worker = stage.worker(program).squeezed(after=1.0).start()

    def work(ids: list[str]) -> None:
        for each in ids:
            stage.task(each)
        stage.advance(3)

    assert left_by_twenty(work) < 20
    assert list(parked(worker).values()) == [True] * 22


def test_falling_asleep_sends_nothing(stage: Stage) -> None:
    ended: list[str] = []

    async def program(ctx: Context, value: str) -> str:
        try:
            return await asks(ctx, value)
        finally:
            ended.append("finally")
            ctx.send("child", "goodbye")

    worker = open_and_parked(stage, program)
    assert ended == ["finally"]
    assert stage.children() == []
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert len(stage.children()) == 1
    assert outcomes(stage, worker) == [("t1", Outcome.OK, "ok")]


def test_a_task_whose_function_runs_is_parked_awake(stage: Stage) -> None:
    gate = asyncio.Event()
    calls: list[str] = []

    async def slow() -> str:
        calls.append("called")
        await gate.wait()
        return "value"

    async def program(ctx: Context, _value: str) -> str:
        return await ctx.run(slow, output_type=str) + await ctx.generate("more")

    worker = stage.worker(program).squeezed(after=1.0, drowsy=0.5).start()
    stage.task("t1")
    stage.advance(10)
    assert parked(worker) == {"t1": False}
    assert carries(stage)[0][1].resting is None, "its code has to run after a restore"
    assert worker.tenure.offsets.base == 1
    gate.set()
    stage.advance(3)
    assert parked(worker) == {"t1": True}
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert outcomes(stage, worker) == [("t1", Outcome.OK, "valueok")]
    assert calls == ["called"]


def test_a_timer_goes_on_while_its_task_sleeps(stage: Stage) -> None:
    async def program(ctx: Context, value: str) -> str:
        await asyncio.sleep(30)
        return value

    worker = open_and_parked(stage, program)
    assert [timer.step for timer in carries(stage)[0][1].timers] == ["1", "deadline"]
    stage.advance(26)
    assert parked(worker) == {"t1": True}
    stage.advance(3)
    assert outcomes(stage, worker) == [("t1", Outcome.OK, "in")]
    assert [kind for kind, _ in stage.noted()] == ["STARTED", "CARRY", "TIMER"]


def test_a_steps_own_timeout_goes_on_while_its_task_sleeps(stage: Stage) -> None:
    async def program(ctx: Context, value: str) -> str:
        try:
            async with asyncio.timeout(20):
                return await asks(ctx, value)
        except TimeoutError:
            return "too late"

    worker = open_and_parked(stage, program)
    stage.advance(20)
    assert outcomes(stage, worker) == [("t1", Outcome.OK, "too late")]


@pytest.mark.parametrize("limit", [20, 3000])
def test_the_timers_of_a_woken_task_go_on(stage: Stage, limit: int) -> None:
    """Its own, and its deadline: nobody calls for it again."""

    async def program(ctx: Context, value: str) -> str:
        async with asyncio.timeout(limit):
            return await asks_twice(ctx, value)

    deadline = Limits(deadline=timedelta(seconds=40))
    worker = stage.worker(program, limits=deadline).squeezed(after=1.0, drowsy=900.0).start()
    stage.task("t1")
    stage.advance(2.5)
    assert parked(worker) == {"t1": True}
    stage.answer(stage.prompts()[0])
    stage.advance(36)
    assert [result.error.type for result in stage.results(worker)] == (["TimeoutError"] if limit == 20 else [])
    stage.advance(3)
    assert [result.error.type for result in stage.results(worker)] == ["TimeoutError" if limit == 20 else "StepTimeout"]


def test_the_deadline_of_a_sleeping_task_ends_it(stage: Stage) -> None:
    worker = open_and_parked(stage, limits=Limits(deadline=timedelta(seconds=30)))
    stage.advance(30)
    (result,) = stage.results(worker)
    assert (result.error.type, result.error.step) == ("StepTimeout", "deadline")
    assert parked(worker) == {}


def test_rule_25_a_cancel_wakes_a_sleeping_task_and_ends_it(stage: Stage) -> None:
    worker = open_and_parked(stage)
    stage.cancel("t1")
    stage.advance(1)
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert [(task, outcome) for task, outcome, _ in outcomes(stage, worker)] == [("t1", Outcome.CANCELLED)]
    assert parked(worker) == {}


def test_rule_14_a_duplicate_of_a_sleeping_task_is_completed_in_silence(stage: Stage) -> None:
    worker = open_and_parked(stage)
    again = stage.task("t1")
    stage.settle()
    assert worker.tenure.offsets.finished(again)
    assert parked(worker) == {"t1": True}
    assert stage.asked() == ["t1/1"]


def test_rule_20_a_stuck_task_does_not_block_and_is_tried_again_by_code_that_fits(stage: Stage) -> None:
    async def other(ctx: Context, value: str) -> str:
        return await ctx.generate(f"otherwise about {value}")

    first = stage.worker(asks_twice).start()
    stage.task("t1")
    stage.settle()
    stage.answer(stage.prompts()[0], "one ")
    stage.settle()
    first.kill()
    second = stage.worker(other, "b", version="v2").squeezed(after=1.0).start()
    stage.advance(3)
    assert parked(second) == {"t1": True}
    assert second.tenure.offsets.base == 1
    stage.advance(2)
    second.kill()
    third = stage.worker(asks_twice, "c").start()
    stage.settle()
    stage.answer(stage.prompts()[-1], "two")
    stage.settle()
    assert outcomes(stage, third) == [("t1", Outcome.OK, "one two")]


# -- rule 24: lanes ---------------------------------------------------------------------------------------------------


def test_rule_24_a_parked_task_keeps_its_place_and_those_behind_it_are_parked_unstarted(stage: Stage) -> None:
    worker = stage.worker(asks, order=Order.SERIAL).squeezed(after=1.0).start()
    for name in ("t1", "t2", "t3"):
        stage.task(name, key="x")
    stage.advance(3)
    assert parked(worker) == {"t1": True, "t2": True, "t3": True}
    assert [carry.resting for _, carry in carries(stage)] == ["v1", None, None]
    assert stage.asked() == ["t1/1"]
    stage.task("t4", key="x")
    stage.settle()
    for number in range(4):
        assert stage.asked() == [f"t{n + 1}/1" for n in range(number + 1)]
        stage.answer(stage.prompts()[number])
        stage.settle()
    assert [task for task, _, _ in outcomes(stage, worker)] == ["t1", "t2", "t3", "t4"]
    assert worker.tenure._lanes.keys() == set()


def test_rule_24_a_record_for_a_task_that_was_parked_before_its_turn_waits_for_it(stage: Stage) -> None:
    worker = stage.worker(asks, order=Order.SERIAL).squeezed(after=1.0, drowsy=0.5).start()
    stage.task("t1", key="x")
    stage.task("t2", key="x")
    stage.advance(3)
    stage.cancel("t2")
    stage.advance(3)
    assert parked(worker) == {"t1": True, "t2": True}
    assert outcomes(stage, worker) == []
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert [(task, outcome) for task, outcome, _ in outcomes(stage, worker)] == [
        ("t1", Outcome.OK),
        ("t2", Outcome.CANCELLED),
    ]
    assert stage.asked() == ["t1/1"]


# -- carried forward --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asleep", [True, False])
def test_rule_23_a_carry_that_holds_too_much_of_the_journal_is_written_again(stage: Stage, asleep: bool) -> None:
    worker = stage.worker(asks_twice).squeezed(after=1.0, span=3_000, drowsy=5.0 if asleep else 900.0).start()
    stage.task("held")
    stage.advance(2.5)
    if not asleep:
        stage.answer(stage.prompts()[0])
        stage.settle()
    for number in range(30):
        stage.task(f"t{number}")
        stage.settle()
        stage.answer(stage.prompts()[-1])
        stage.settle()
        stage.answer(stage.prompts()[-1])
        stage.settle()
    stage.advance(2)
    assert parked(worker) == {"held": asleep}
    newest = [carry for task, carry in carries(stage) if task == "held"][-1]
    assert newest.upto > 60
    assert len(newest.entries) == (1 if asleep else 2)
    assert worker.tenure.journal_floor(()) == newest.upto
    assert 1 < len(carries(stage)) < 4, "not each time that a record comes"
    stage.answer(stage.prompts()[0])
    stage.answer(stage.prompts()[1])
    stage.settle()


def test_rule_23_a_carry_that_lies_far_behind_in_the_own_log_is_written_again(stage: Stage) -> None:
    worker = stage.worker(echoes_or_asks).squeezed(after=1.0, own_lag=10).start()
    stage.task("held")
    stage.advance(2.5)
    for number in range(12):
        stage.task(f"q{number}", "quick")
    stage.advance(2)
    assert [carry.own_upto for _, carry in carries(stage)] == [0, 12]
    assert worker.tenure.own_floor(()) == 12


def test_rule_23_a_carry_of_yesterday_is_written_again(stage: Stage) -> None:
    day = Limits(deadline=timedelta(days=9))
    worker = stage.worker(asks, limits=day).squeezed(after=1.0, age=100.0).start()
    stage.task("held")
    stage.advance(2.5)
    stage.advance(101)
    assert len(carries(stage)) == 2
    stage.advance(50)
    assert len(carries(stage)) == 2
    assert parked(worker) == {"held": True}


def test_rule_23_nothing_is_let_go_before_the_newer_carry_is_acknowledged(stage: Stage) -> None:
    worker = stage.worker(echoes_or_asks).squeezed(after=1.0, own_lag=2).start()
    stage.task("held")
    stage.advance(2.5)
    before = worker.tenure.snapshot()
    held = stage.wire.hold("append", JOURNAL)
    for number in range(6):
        stage.task(f"q{number}", "quick")
    stage.advance(5)
    now = worker.tenure.snapshot()
    assert before is not None
    assert now is not None
    assert (now.own, now.journal) == (before.own, before.journal)
    assert len(held.messages) == 1
    held.release()
    stage.settle()
    assert worker.tenure.own_floor(()) == 6


def test_parked_and_sleeping_tasks_are_counted(stage: Stage) -> None:
    worker = open_and_parked(stage, asks_twice)
    stage.advance(2)
    metrics = worker.wiring.metrics
    assert (metrics.parked._value.get(), metrics.asleep._value.get()) == (1, 1)
    stage.answer(stage.prompts()[0])
    stage.advance(2)
    assert (metrics.parked._value.get(), metrics.asleep._value.get()) == (1, 0)
    assert [kind for kind, _ in stage.noted()].count(JournalKind.CARRY.value) == 1
