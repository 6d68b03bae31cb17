"""What earlier owners parked, after a restore (protocol rules 8 to 10, 13, 22 to 24)."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, Limits, Order
from aiosv3.agents.worker import opening
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import Carry, JournalKind, JournalRecord, Outcome
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.claims import ClaimStore, claim_of
from aiosv3.streams.errors import ClaimsUnavailable
from aiosv3.streams.log import Headers
from aiosv3.streams.tenure import Phase

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker

JOURNAL = "aios.journal.worker"
RESULTS = "aios.results.worker"
WAITED_FOR: Headers = [
    (GRANT, Grant("acme", "root", Clearance.INTERNAL, depth=2).encode()),
    (ROUTE, Route("parent", "auto", 0, 0, hash="cafe", first_sent=1_750_000_000_000).encode()),
    (REPLY, Reply("aios.journal.child", 0, 11, "parent-task", "4", "token").encode()),
]


async def asks(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}")


async def asks_twice(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}") + await ctx.generate("and then")


async def echoes_or_asks(ctx: Context, value: str) -> str:
    return value if value == "quick" else await ctx.generate(f"about {value}")


def outcomes(stage: Stage, worker: Worker) -> list[tuple[str, Outcome, Any]]:
    return [(result.task_id, result.outcome, result.content) for result in stage.results(worker)]


def carries(stage: Stage) -> list[tuple[str, Carry]]:
    return [(record.task_id, record.carry) for record in stage.journal() if record.carry is not None]


def parked(worker: Worker) -> dict[str, bool]:
    """Parked task -> it sleeps."""
    return {one.task_id: one.asleep for one in worker.tenure._table}


def committed(stage: Stage, worker: Worker) -> None:
    """Waits until the last commit says what is true now."""
    stage.run(lambda: stage.committed() == worker.tenure.snapshot())


def with_parked(stage: Stage, *names: str, program: Any = asks, **settings: Any) -> Worker:
    """A worker with these tasks parked, and that committed."""
    worker = stage.worker(program, **settings).squeezed(after=1.0).start()
    for name in names or ("t1",):
        stage.task(name)
    stage.advance(2.5)
    assert list(parked(worker)) == list(names or ("t1",))
    committed(stage, worker)
    return worker


def next_owner(stage: Stage, worker: Worker, program: Any = asks, name: str = "b", **settings: Any) -> Worker:
    worker.kill()
    second = stage.worker(program, name, **settings).squeezed(after=1.0).start()
    stage.settle()
    return second


# -- asleep and awake -------------------------------------------------------------------------------------------------


def test_rule_23_a_parked_task_sleeps_on_and_asks_for_nothing_again(stage: Stage) -> None:
    second = next_owner(stage, with_parked(stage))
    assert parked(second) == {"t1": True}
    assert second.tenure.offsets.base == 1
    stage.answer(stage.prompts()[0], "late")
    stage.settle()
    assert outcomes(stage, second) == [("t1", Outcome.OK, "late")]
    assert stage.asked() == ["t1/1"]


def test_rule_23_a_restored_task_is_its_carry_and_what_came_since_each_once(stage: Stage) -> None:
    """Records between ``upto`` and the carry itself, and above it."""

    async def collects(ctx: Context, value: str) -> str:
        words = [await ctx.generate(f"{value}{number}") for number in range(4)]
        return " ".join(words)

    first = stage.worker(collects).squeezed(after=1.0).start()
    stage.task("t1")
    stage.settle()
    stage.answer(stage.prompts()[0], "zero")
    held = stage.wire.hold("append", JOURNAL)
    stage.advance(2.5)
    stage.answer(stage.prompts()[1], "one")
    stage.settle()
    held.release()
    stage.settle()
    ((_, carry),) = carries(stage)
    assert [record.kind for record in stage.journal()][-2:] == [JournalKind.ANSWER, JournalKind.CARRY]
    committed(stage, first)
    stage.answer(stage.prompts()[2], "two")
    second = next_owner(stage, first, collects)
    assert len(carry.entries) == 2
    assert parked(second) == {"t1": False}
    assert second.tenure.live["t1"].run.stuck is None
    offsets = [entry.offset for entry in second.tenure.live["t1"].journal]
    assert offsets == sorted(set(offsets))
    assert len(offsets) == 4
    stage.answer(stage.prompts()[-1], "three")
    stage.settle()
    assert outcomes(stage, second) == [("t1", Outcome.OK, "zero one two three")]


def test_rule_16_only_what_is_unanswered_since_is_sent_again(stage: Stage) -> None:
    first = with_parked(stage, program=asks_twice)
    stage.answer(stage.prompts()[0], "one ")
    stage.settle()
    assert stage.asked() == ["t1/1", "t1/2"]
    next_owner(stage, first, asks_twice)
    assert stage.asked() == ["t1/1", "t1/2", "t1/2"]


def test_a_task_that_was_parked_while_its_function_ran_runs_it_again(stage: Stage) -> None:
    calls: list[str] = []
    gate = asyncio.Event()

    async def slow() -> str:
        calls.append("called")
        await gate.wait()
        return "value"

    async def program(ctx: Context, _value: str) -> str:
        return await ctx.run(slow, output_type=str)

    first = with_parked(stage, program=program)
    assert parked(first) == {"t1": False}
    second = next_owner(stage, first, program)
    assert parked(second) == {"t1": False}
    assert calls == ["called", "called"]
    gate.set()
    stage.settle()
    assert outcomes(stage, second) == [("t1", Outcome.OK, "value")]


def test_the_timers_of_a_sleeping_task_go_on_with_the_next_owner(stage: Stage) -> None:
    async def program(_ctx: Context, value: str) -> str:
        await asyncio.sleep(30)
        return value

    first = with_parked(stage, program=program)
    second = next_owner(stage, first, program)
    stage.advance(20)
    assert parked(second) == {"t1": True}
    stage.advance(10)
    assert outcomes(stage, second) == [("t1", Outcome.OK, "in")]


def test_the_deadline_of_a_sleeping_task_holds_for_the_next_owner(stage: Stage) -> None:
    short = Limits(deadline=timedelta(seconds=30))
    second = next_owner(stage, with_parked(stage, limits=short), limits=short)
    stage.advance(30)
    assert [result.error.type for result in stage.results(second)] == ["StepTimeout"]


def test_other_code_takes_a_sleeping_task_over_when_it_wakes(stage: Stage) -> None:
    """It may ask for more than the code that parked the task: then that is sent (rule 20)."""

    async def gathers(ctx: Context, value: str) -> str:
        return "".join(await asyncio.gather(ctx.generate(f"about {value}"), ctx.generate("and that")))

    second = next_owner(stage, with_parked(stage), gathers, version="v2")
    assert stage.asked() == ["t1/1"]
    stage.answer(stage.prompts()[0], "one ")
    stage.settle()
    assert stage.asked() == ["t1/1", "t1/2"]
    stage.answer(stage.prompts()[1], "two")
    stage.settle()
    assert outcomes(stage, second) == [("t1", Outcome.OK, "one two")]


def test_code_that_cannot_read_a_parked_tasks_input_gives_it_a_failed_result(stage: Stage) -> None:
    async def counts(ctx: Context, value: int) -> str:
        return await ctx.generate(str(value))

    second = next_owner(stage, with_parked(stage), counts, types=(int, str), version="v2", store=SchemaStore())
    assert parked(second) == {"t1": True}, "nobody looks at it before something comes"
    stage.answer(stage.prompts()[0])
    stage.settle()
    ((task, outcome, _),) = outcomes(stage, second)
    assert (task, outcome) == ("t1", Outcome.FAILED)
    assert parked(second) == {}


# -- which carry ------------------------------------------------------------------------------------------------------


def rewritten(stage: Stage, task_id: str, **fields: Any) -> None:
    """Somebody who lost the partition writes an old carry late."""
    record = next(record for record in stage.journal() if record.carry is not None and record.task_id == task_id)
    assert record.carry is not None
    stage.journaled(replace(record, carry=replace(record.carry, **fields)))


def test_rule_23_of_several_carries_the_one_that_reaches_furthest_counts(stage: Stage) -> None:
    first = with_parked(stage, program=asks_twice)
    rewritten(stage, "t1", upto=0, entries=(), resting=None)
    second = next_owner(stage, first, asks_twice)
    assert parked(second) == {"t1": True}
    assert second.tenure.journal_floor(()) == carries(stage)[0][1].upto


def test_carries_above_the_own_marker_change_nothing(stage: Stage) -> None:
    worker = with_parked(stage)
    before = worker.tenure.journal_floor(())
    rewritten(stage, "t1", upto=10**6)
    stage.settle()
    assert worker.tenure.journal_floor(()) == before
    assert parked(worker) == {"t1": True}


# -- memory (rule 13) -------------------------------------------------------------------------------------------------


def test_rule_23_a_parked_task_that_has_its_result_is_not_opened_again(stage: Stage) -> None:
    first = with_parked(stage, "t1", "other")
    stage.answer(stage.prompts()[0], "once")
    stage.settle()
    second = next_owner(stage, first)
    assert parked(second) == {"other": True}
    assert outcomes(stage, second) == [("t1", Outcome.OK, "once")]
    stage.answer(stage.prompts()[0], "twice")
    stage.settle()
    assert len(outcomes(stage, second)) == 1


def test_rule_13_memory_reaches_down_to_own_upto_before_a_carry_is_opened(stage: Stage) -> None:
    """The carry of a finished task is still on the journal, its result lies below T: another task holds Bbase only."""
    first = stage.worker(echoes_or_asks).squeezed(after=1.0, own_lag=3).start()
    stage.task("other")
    stage.task("t1")
    stage.advance(2.5)
    stage.answer(stage.prompts()[1], "once")
    stage.settle()
    held = stage.wire.hold("append", JOURNAL)
    for number in range(6):
        stage.task(f"q{number}", "quick")
    stage.advance(2)
    held.release()
    stage.settle()
    committed(stage, first)
    found = stage.committed()
    assert found is not None
    stage.commit(replace(found, journal=carries(stage)[0][1].upto))
    assert found.own >= 6, "the result of t1 lies below"
    first.kill()
    second = stage.worker(echoes_or_asks, "b").start()
    stage.settle()
    assert parked(second) == {"other": True}
    stage.answer(stage.prompts()[1], "twice")
    stage.settle()
    assert [content for task, _, content in outcomes(stage, second) if task == "t1"] == ["once"]


def test_rule_09_a_task_whose_carry_lies_below_the_committed_T_is_over_although_its_result_is_gone(
    stage: Stage,
) -> None:
    """After a rest for longer than results are kept. A message that waits for a task keeps old carries readable."""
    first = with_parked(stage, "t1")
    stage.answer(stage.prompts()[0], "once")
    stage.settle()
    for number in range(3):
        stage.task(f"q{number}")
        stage.settle()
        stage.answer(stage.prompts()[number + 1], "quick")
        stage.settle()
    committed(stage, first)
    found = stage.committed()
    assert found is not None
    carry = carries(stage)[0][1]
    assert carry.own_upto < found.own
    stage.commit(replace(found, journal=carry.upto))
    first.kill()
    stage.broker.truncate(RESULTS, 0, found.own)
    second = stage.worker(asks, "b").start()
    stage.settle()
    assert (second.tenure.may_commit(), parked(second)) == (True, {})
    assert stage.results(second) == []


def test_rule_14_a_parked_task_with_a_result_answers_whoever_asked_again(stage: Stage) -> None:
    """Its input is finished, so that no input tells the next owner: the carry does."""
    first = stage.worker(asks).squeezed(after=1.0).start()
    stage.task("t1", headers=WAITED_FOR)
    stage.advance(2.5)
    committed(stage, first)
    forwards = stage.wire.hold("append", "aios.journal.child")
    stage.answer(stage.prompts()[0], "heard")
    stage.advance(3)
    assert len(stage.results(first)) == 1
    assert list(parked(first)) == ["t1"], "it holds its logs until the answer is acknowledged"
    assert first.tenure.own_floor(()) == 0
    first.kill()
    forwards.messages.clear()
    forwards.release()
    second = stage.worker(asks, "b").start()
    stage.settle()
    assert [record.content for record in stage.journal("child")] == ['"heard"']
    assert parked(second) == {}
    assert len(stage.results(second)) == 1


def test_rule_13_a_task_whose_results_may_be_gone_is_not_done_again(stage: Stage) -> None:
    first = stage.worker(echoes_or_asks).squeezed(after=1.0).start()
    stage.task("t1")
    stage.advance(2.5)
    for number in range(3):
        stage.task(f"q{number}", "quick")
    stage.advance(2)
    first.kill()
    stage.broker.truncate(RESULTS, 0, 2)
    second = stage.worker(echoes_or_asks, "b").start()
    stage.settle()
    (result,) = [result for result in stage.results(second) if result.task_id == "t1"]
    assert (result.outcome, result.error.type) == (Outcome.FAILED, "StaleTask")
    assert parked(second) == {}


# -- what may be said meanwhile (rules 8 to 10, 22) -------------------------------------------------------------------


class Gated:
    """A claim store that answers when it is told to."""

    def __init__(self, inner: ClaimStore) -> None:
        self.inner = inner
        self.gate = asyncio.Event()
        self.failing = 0

    async def put(self, content: bytes) -> str:
        return await self.inner.put(content)

    async def get(self, claim: str) -> bytes:
        if self.failing:
            self.failing -= 1
            raise ClaimsUnavailable("not now")
        await self.gate.wait()
        return await self.inner.get(claim)


def opening_slowly(stage: Stage, *names: str, failing: int = 0) -> tuple[Worker, Gated]:
    """The next owner of a worker that parked these tasks in a claim store, which does not answer yet."""
    first = stage.worker(asks).squeezed(after=1.0, inline=100).start()
    for name in names:
        stage.task(name)
    stage.advance(2.5)
    committed(stage, first)
    first.kill()
    second, claims = stage.worker(asks, "b"), Gated(stage.claims)
    claims.failing = failing
    second.setup = replace(second.setup, claims=claims)
    stage.finish(second.processor.start())
    stage.advance(5)
    assert second.tenure.marker_seen
    return second, claims


def test_rule_22_nothing_is_admitted_or_committed_before_the_parked_tasks_are_open(stage: Stage) -> None:
    second, claims = opening_slowly(stage, "t1")
    stage.task("t2")
    stage.advance(5)
    assert second.tenure.snapshot() is None
    assert stage.asked() == ["t1/1"]
    claims.gate.set()
    stage.advance(1)
    assert second.tenure.snapshot() is not None
    assert stage.asked() == ["t1/1", "t2/1"]


def test_records_that_come_while_parked_tasks_are_being_opened_are_not_lost(stage: Stage) -> None:
    second, claims = opening_slowly(stage, "t1", "t2")
    stage.answer(stage.prompts()[0], "in between")
    stage.cancel("t2")
    stage.settle()
    claims.gate.set()
    stage.advance(1)
    assert [(task, outcome) for task, outcome, _ in outcomes(stage, second)] == [
        ("t1", Outcome.OK),
        ("t2", Outcome.CANCELLED),
    ]


def test_opening_many_leaves_the_loop_its_turns(stage: Stage) -> None:
    """A million of them take a minute: a member that is not heard of for so long loses its partition, and again."""
    count = 4 * opening._AT_ONCE
    first = stage.worker(asks).squeezed(after=1.0).start()
    for number in range(count):
        stage.task(f"t{number}")
    stage.advance(5)
    committed(stage, first)
    assert len(parked(first)) == count
    first.kill()
    second = stage.worker(asks, "b")
    turns: list[int] = []

    def turn() -> None:
        turns.append(len(parked(second)) if second.processor.tenures else 0)
        if turns[-1] < count:
            asyncio.get_running_loop().call_soon(turn)

    async def start() -> None:
        turn()
        await second.processor.start()

    stage.finish(start())
    stage.settle()
    assert turns[-1] == count
    steps = [later - before for before, later in itertools.pairwise(turns)]
    assert max(steps) <= opening._AT_ONCE


def test_a_claim_store_that_does_not_answer_is_asked_again(stage: Stage) -> None:
    second, claims = opening_slowly(stage, "t1", failing=2)
    claims.gate.set()
    stage.advance(1)
    assert parked(second) == {"t1": True}


def test_the_end_of_an_ownership_ends_its_opening(stage: Stage) -> None:
    second, claims = opening_slowly(stage, "t1")
    tenure = second.tenure
    tenure.stop("evicted")
    claims.gate.set()
    stage.advance(2)
    assert len(tenure._table) == 0
    assert tenure.snapshot() is None


def test_rules_09_and_10_hold_for_restored_parked_tasks(stage: Stage) -> None:
    first = with_parked(stage, "t1", "t2")
    before = first.tenure.snapshot()
    second = next_owner(stage, first)
    assert before is not None
    after = second.tenure.snapshot()
    assert after is not None
    assert (after.base, after.own, after.journal) == (before.base, before.own, before.journal)
    stage.advance(3)
    stage.broker.truncate(JOURNAL, 0, after.journal)
    third = next_owner(stage, second, name="c")
    assert parked(third) == {"t1": True, "t2": True}
    for request in stage.prompts():
        stage.answer(request)
    stage.settle()
    assert [task for task, _, _ in outcomes(stage, third)] == ["t1", "t2"]
    assert third.tenure.journal_floor(()) == third.tenure._journal.next


def test_rule_08_a_parked_task_that_was_cut_from_the_stored_set_is_admitted_again_and_just_completed(
    stage: Stage,
) -> None:
    first = stage.worker(asks).squeezed(after=1.0).start()
    stage.task("t1")
    stage.task("t2")
    stage.advance(2.5)
    committed(stage, first)
    found = stage.committed()
    assert found is not None
    stage.commit(replace(found, base=0, completed=()))
    second = next_owner(stage, first)
    assert parked(second) == {"t1": True, "t2": True}
    assert second.tenure.offsets.base == 2
    assert stage.asked() == ["t1/1", "t2/1"]
    for request in stage.prompts():
        stage.answer(request)
    stage.settle()
    assert [task for task, _, _ in outcomes(stage, second)] == ["t1", "t2"]


def test_rule_12_without_a_commit_parked_tasks_are_found_from_the_start_of_the_logs(stage: Stage) -> None:
    first = with_parked(stage, "t1", "t2")
    stage.answer(stage.prompts()[0], "once")
    stage.settle()
    first.kill()
    stage.broker.forget_commits("agent.worker", "aios.tasks.worker")
    second = stage.worker(asks, "b").start()
    stage.settle()
    assert parked(second) == {"t2": True}
    assert outcomes(stage, second) == [("t1", Outcome.OK, "once")]
    assert second.tenure.offsets.base == 2


# -- order (rule 24) --------------------------------------------------------------------------------------------------


def test_rule_24_starts_stay_in_task_offset_order_after_a_restore(stage: Stage) -> None:
    """Parked tasks above the base wait for their own input to pass by: unfinished ones below them start first."""
    began: list[str] = []

    async def notes(ctx: Context, value: str) -> str:
        began.append(value)
        return await ctx.generate(value)

    first = stage.worker(notes).squeezed(after=1.0).start()
    for name in ("t1", "t2", "t3"):
        stage.task(name, name)
    stage.settle()
    first.tenure.live["t2"].rejected = True  # cannot be parked, for the sake of the test
    stage.advance(2.5)
    assert list(parked(first)) == ["t1", "t3"]
    committed(stage, first)
    stage.answer(stage.prompts()[0])
    stage.answer(stage.prompts()[2])
    began.clear()
    first.kill()
    stage.worker(notes, "b").start()
    stage.settle()
    assert began == ["t1", "t2", "t3"]


def test_rule_24_lanes_are_built_again_by_task_offset(stage: Stage) -> None:
    first = stage.worker(asks, order=Order.SERIAL).squeezed(after=1.0).start()
    for name in ("t1", "t2", "t3"):
        stage.task(name, key="x")
    stage.advance(2.5)
    committed(stage, first)
    stage.task("t4", key="x")
    stage.settle()
    second = next_owner(stage, first, order=Order.SERIAL)
    assert stage.asked() == ["t1/1"]
    for number in range(4):
        assert stage.asked() == [f"t{n + 1}/1" for n in range(number + 1)]
        stage.answer(stage.prompts()[number])
        stage.settle()
    assert [task for task, _, _ in outcomes(stage, second)] == ["t1", "t2", "t3", "t4"]


def test_rule_24_an_open_head_keeps_its_lane_although_those_behind_it_are_parked(stage: Stage) -> None:
    first = stage.worker(asks, order=Order.SERIAL).squeezed(after=1.0).start()
    for name in ("t1", "t2"):
        stage.task(name, key="x")
    stage.settle()
    first.tenure.live["t1"].rejected = True  # cannot be parked, for the sake of the test
    stage.advance(2.5)
    assert list(parked(first)) == ["t2"]
    committed(stage, first)
    second = next_owner(stage, first, order=Order.SERIAL)
    assert stage.asked() == ["t1/1", "t1/1"]
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert stage.asked()[2:] == ["t2/1"]
    stage.answer(stage.prompts()[-1])
    stage.settle()
    assert [task for task, _, _ in outcomes(stage, second)] == ["t1", "t2"]


def test_rule_24_the_next_in_a_lane_begins_when_its_head_ended_while_nobody_owned_it(stage: Stage) -> None:
    first = stage.worker(asks, order=Order.SERIAL).squeezed(after=1.0).start()
    for name in ("t1", "t2"):
        stage.task(name, key="x")
    stage.advance(2.5)
    committed(stage, first)
    held = stage.wire.hold("ack", RESULTS)
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert stage.asked() == ["t1/1"]
    first.kill()
    held.messages.clear()
    held.release()
    second = stage.worker(asks, "b", order=Order.SERIAL).start()
    stage.settle()
    assert [task for task, _, _ in outcomes(stage, second)] == ["t1"]
    assert stage.asked() == ["t1/1", "t2/1"]


# -- what it costs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finished", [20, 200])
def test_a_restore_reads_what_the_parked_tasks_hold_however_many_have_ended(stage: Stage, finished: int) -> None:
    """Rules 9, 10 and 23: O(parked), not O(finished), once the carries were written again and that is committed."""
    first = stage.worker(asks).squeezed(after=1.0, span=4_000, own_lag=10).start()
    for name in ("p1", "p2", "p3"):
        stage.task(name)
    stage.advance(2.5)
    for number in range(finished):
        stage.task(f"f{number}")
        stage.settle()
        stage.answer(stage.prompts()[-1])
        stage.settle()
    stage.advance(3)
    committed(stage, first)
    found = stage.committed()
    assert found is not None
    journal, results = (stage.broker.records(topic, 0)[-1].offset + 1 for topic in (JOURNAL, RESULTS))
    assert journal > 2 * finished
    assert journal - found.journal < 30
    assert results - found.own <= 11
    second = next_owner(stage, first)
    assert parked(second) == {"p1": True, "p2": True, "p3": True}
    for request in stage.prompts()[:3]:
        stage.answer(request)
    stage.settle()
    assert [task for task, _, _ in outcomes(stage, second)][-3:] == ["p1", "p2", "p3"]


# -- claims -----------------------------------------------------------------------------------------------------------


def test_a_carry_in_the_claim_store_is_fetched_before_anything_is_admitted(stage: Stage) -> None:
    first = stage.worker(asks).squeezed(after=1.0, inline=100).start()
    stage.task("t1")
    stage.advance(2.5)
    ((_, carry),) = carries(stage)
    assert carry.claim is not None
    assert (carry.entries, carry.task_value) == ((), None)
    committed(stage, first)
    second = next_owner(stage, first)
    stage.run(lambda: "t1" in parked(second))
    stage.answer(stage.prompts()[0], "late")
    stage.advance(1)
    assert outcomes(stage, second) == [("t1", Outcome.OK, "late")]


def test_a_task_that_is_stuck_for_want_of_a_claim_goes_on_when_the_store_has_it(stage: Stage) -> None:
    first = stage.worker(asks_twice).squeezed(after=1.0).start()
    stage.task("t1")
    stage.settle()
    content = json.dumps({"text": "one ", "tool_calls": None}).encode()
    stage.answer(stage.prompts()[0], claim=claim_of(content))
    stage.advance(2.5)
    assert parked(first) == {"t1": True}
    committed(stage, first)
    stage.claims.stored[claim_of(content)] = content
    second = next_owner(stage, first, asks_twice)
    assert stage.asked() == ["t1/1", "t1/2"]
    stage.answer(stage.prompts()[1], "two")
    stage.settle()
    assert outcomes(stage, second) == [("t1", Outcome.OK, "one two")]


def test_a_partition_whose_carries_are_gone_from_the_claim_store_stops_in_words(stage: Stage) -> None:
    first = stage.worker(asks).squeezed(after=1.0, inline=100).start()
    stage.task("t1")
    stage.advance(2.5)
    committed(stage, first)
    first.kill()
    record = next(record for record in stage.journal() if record.carry is not None)
    assert record.carry is not None
    lost = replace(record.carry, claim="sha256:" + "0" * 64, upto=record.carry.upto + 1)
    stage.journaled(JournalRecord("t1", 0, None, None, JournalKind.CARRY, Outcome.OK, carry=lost))
    second = stage.worker(asks, "b")
    stage.finish(second.processor.start())
    stage.advance(2)
    assert second.tenure.phase is Phase.STOPPED
    assert second.tenure.reason.startswith("ClaimMissing: ")
