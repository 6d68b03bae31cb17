"""An agent's partition: restore, admission, journal, order, cancel and commits (protocol rules 10, 14, 16, 20 to 25)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, Limits, Order
from aiosv3.schemas.headers import CE_ID, GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.streams.commit import Commit
from aiosv3.streams.log import Headers, Outgoing
from aiosv3.streams.tenure import Phase, marker

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker

SHORT = Limits(deadline=timedelta(seconds=30))


async def asks(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}")


async def asks_twice(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}") + await ctx.generate("and then")


async def echoes(_ctx: Context, value: str) -> str:
    return value


def reply_headers(step: str = "4") -> Headers:
    """What a task has that another agent gave."""
    route = Route("parent", "auto", 0, 0, hash="cafe", first_sent=1)
    grant = Grant("acme", "root", Clearance.INTERNAL, depth=2)
    reply = Reply("aios.journal.child", 0, 11, "parent-task", step, "token")
    return [(GRANT, grant.encode()), (ROUTE, route.encode()), (REPLY, reply.encode())]


def outcomes(stage: Stage, worker: Worker) -> list[tuple[str, Outcome, Any]]:
    return [(result.task_id, result.outcome, result.content) for result in stage.results(worker)]


# -- the ordinary way -------------------------------------------------------------------------------------------------


def test_a_task_runs_to_its_result(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    offset = stage.task("t1", "life")
    stage.settle()
    assert stage.asked() == ["t1/1"]
    stage.answer(stage.prompts()[0], "42")
    stage.settle()
    assert outcomes(stage, worker) == [("t1", Outcome.OK, "42")]
    (result,) = stage.results(worker)
    assert (result.input_offset, result.task_key, result.code_version, result.usage.model_calls) == (offset, "k", "v1", 1)
    assert result.journal_offset == 2, "the answer that finished it, above the marker and what says that it began"
    assert result.epoch == worker.tenure.epoch
    assert worker.tenure.offsets.base == offset + 1
    assert worker.tenure.live == {}


def test_a_failed_childs_result_reaches_its_parent(stage: Stage) -> None:
    async def child(_ctx: Context, value: str) -> str:
        raise ValueError(f"not {value}")

    async def parent(ctx: Context, _value: str) -> str:
        return str(await ctx.call("child", "today"))

    worker = stage.worker(parent).start()
    stage.worker(child, "b", name="child").start()
    stage.task("t1")
    stage.settle()
    (result,) = stage.results(worker)
    assert result.error.type == "AgentFailed"
    assert result.error.message == "ValueError: not today"
    assert result.error.step == "1"


def test_a_childs_result_and_its_cost_reach_the_parent(stage: Stage) -> None:
    async def parent(ctx: Context, value: str) -> str:
        return str(await ctx.call("child", value))

    worker = stage.worker(parent).start()
    stage.worker(asks, "b", name="child").start()
    stage.task("t1", "life")
    stage.settle()
    stage.broker.append(Outgoing("aios.journal.child", 0, None, *_answer_of(stage)))
    stage.settle()
    (result,) = stage.results(worker)
    assert (result.content, result.usage.cost_usd_micros) == ("42", 5)
    assert [record.header(CE_ID) for record in stage.children()] == [b"t1/1"]


def _answer_of(stage: Stage) -> tuple[bytes | None, Headers]:
    """The answer to the newest request, taken from where ``Stage.answer`` writes it."""
    stage.answer(stage.prompts()[-1], "42")
    record = stage.broker.records("aios.journal.worker", 0)[-1]
    return record.value, record.headers


# -- rules 14 and 22: duplicates --------------------------------------------------------------------------------------


def test_rule_14_a_duplicate_of_an_open_task_is_completed_in_silence(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    again = stage.task("t1")
    stage.settle()
    assert stage.asked() == ["t1/1"]
    assert worker.tenure.offsets.finished(again)
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert len(stage.results(worker)) == 1


def test_rule_14_a_duplicate_of_a_finished_task_is_not_done_again(stage: Stage) -> None:
    worker = stage.worker(echoes).start()
    stage.task("t1")
    stage.settle()
    again = stage.task("t1")
    stage.settle()
    assert len(stage.results(worker)) == 1
    assert worker.tenure.offsets.base == again + 1
    assert worker.wiring.metrics.answered_again._value.get() == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_rule_14_a_duplicate_of_an_answered_request_is_answered_again(stage: Stage, restarted: bool) -> None:
    worker = stage.worker(echoes).start()
    stage.task("t1", "first", headers=reply_headers())
    stage.settle()
    if restarted:
        worker.kill()
        worker = stage.worker(echoes, "b").start()
    stage.task("t1", "first", headers=reply_headers())
    stage.run(lambda: len(stage.journal("child")) >= 2)
    answers = stage.journal("child")
    assert {(a.task_id, a.task_offset, a.step_id, a.token, a.request_hash, a.content) for a in answers} == {
        ("parent-task", 11, "4", "token", "cafe", '"first"')
    }
    assert len(stage.results(worker)) == 1


def test_rule_22_nothing_is_admitted_before_the_journal_was_read_to_the_marker(stage: Stage) -> None:
    stage.task("t1")
    worker = stage.worker(asks)
    journal = stage.wire.hold("fetch", "aios.journal.worker")
    stage.finish(worker.processor.start())
    stage.advance(5)
    assert worker.tenure.phase is Phase.RUNNING
    assert worker.tenure.live == {}
    assert worker.tenure.snapshot() is None, "nor may anything be committed (rule 10)"
    journal.release()
    stage.settle()
    assert stage.asked() == ["t1/1"]


def test_rule_22_a_closed_task_is_not_started_again_by_the_next_owner(stage: Stage) -> None:
    first = stage.worker(echoes).start()
    commits = stage.wire.hold("commit")
    stage.task("t1", "once")
    stage.settle()
    first.kill()
    started: list[str] = []

    async def notes(_ctx: Context, value: str) -> str:
        started.append(value)
        return value

    commits.messages.clear()
    commits.release()
    second = stage.worker(notes, "b").start()
    assert started == []
    assert len(stage.results(second)) == 1
    assert second.tenure.offsets.base == 1


# -- rule 16: only what is unanswered ---------------------------------------------------------------------------------


def test_rule_16_the_next_owner_sends_again_only_what_has_no_answer(stage: Stage) -> None:
    async def both(ctx: Context, _value: str) -> str:
        return "".join(await asyncio.gather(ctx.generate("a"), ctx.generate("b")))

    first = stage.worker(both).start()
    stage.task("t1")
    stage.settle()
    stage.answer(stage.prompts()[0], "A")
    first.kill()
    second = stage.worker(both, "b").start()
    assert stage.asked() == ["t1/1", "t1/2", "t1/2"]
    stage.answer(stage.prompts()[-1], "B")
    stage.settle()
    assert outcomes(stage, second) == [("t1", Outcome.OK, "AB")]


def test_rule_16_a_request_is_the_same_after_a_restart(stage: Stage) -> None:
    first = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    first.kill()
    stage.advance(60)
    second = stage.worker(asks, "b").start()
    one, two = stage.prompts()
    assert (one.key, one.value, one.header(REPLY), one.header(GRANT)) == (
        two.key,
        two.value,
        two.header(REPLY),
        two.header(GRANT),
    )
    routes = [Route.decode(record.header(ROUTE) or b"") for record in (one, two)]
    assert routes[0].first_sent == routes[1].first_sent
    assert routes[0].epoch < routes[1].epoch == second.tenure.epoch


# -- rule 20: started, and code that changed --------------------------------------------------------------------------


def test_rule_20_a_request_waits_until_started_is_on_the_journal(stage: Stage) -> None:
    worker = stage.worker(asks, version="v7").start()
    appends = stage.wire.hold("append", "aios.journal.worker")
    stage.task("t1")
    stage.settle()
    assert appends.messages
    assert stage.asked() == []
    appends.release()
    stage.settle()
    assert stage.noted() == [("STARTED", None)]
    assert stage.journal()[0].code_version == "v7"
    assert stage.asked() == ["t1/1"]
    assert worker.tenure.live["t1"].run.code_version == "v7"


def test_rule_20_a_record_that_comes_meanwhile_lets_no_request_go_ahead(stage: Stage) -> None:
    stage.worker(asks).start()
    appends = stage.wire.hold("append", "aios.journal.worker")
    stage.task("t1")
    stage.settle()
    stage.journaled(JournalRecord("t1", 0, None, None, JournalKind.SIGNAL, Outcome.OK))
    stage.settle()
    assert stage.asked() == []
    appends.release()
    stage.settle()
    assert stage.asked() == ["t1/1"]


def test_rule_20_started_is_said_once(stage: Stage) -> None:
    first = stage.worker(asks, version="v1").start()
    stage.task("t1")
    stage.settle()
    first.kill()
    second = stage.worker(asks, "b", version="v2").start()
    assert stage.noted() == [("STARTED", None)]
    assert second.tenure.live["t1"].run.code_version == "v1"


def test_rule_20_a_stuck_task_sends_nothing_and_the_others_go_on(stage: Stage) -> None:
    async def changed(ctx: Context, value: str) -> str:
        if value == "old":
            return str(await ctx.run(_one, output_type=int))
        return await ctx.generate(value)

    first = stage.worker(asks_twice, limits=SHORT).start()
    stage.task("old", "old")
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    first.kill()
    before = (stage.noted(), stage.asked())
    second = stage.worker(changed, "b", version="v2").start()
    stage.advance(40)
    assert "step 1 asks for something else" in (second.tenure.live["old"].run.stuck or "")
    assert (stage.noted(), stage.asked()) == before
    stage.task("new", "new")
    stage.settle()
    stage.answer(stage.prompts()[-1], "fine")
    stage.settle()
    assert outcomes(stage, second) == [("new", Outcome.OK, "fine")]
    second.kill()
    third = stage.worker(asks_twice, "c").start()
    stage.answer([r for r in stage.prompts() if r.header(CE_ID) == b"old/2"][-1], "!")
    stage.settle()
    assert outcomes(stage, third)[-1] == ("old", Outcome.OK, "ok!")


async def _one() -> int:
    return 1


@pytest.mark.parametrize("waits_for", ["sleep", "run", "started"])
def test_rule_20_a_task_that_gets_stuck_later_journals_nothing_of_what_it_was_waiting_for(
    stage: Stage, waits_for: str
) -> None:
    """Its step ids are those of the wrong code: a value under such an id would stop the code that fits as well."""

    async def slow() -> int:
        await asyncio.sleep(5)
        return 1

    async def program(ctx: Context, _value: str) -> str:
        if waits_for == "sleep":
            await asyncio.sleep(5)
        elif waits_for == "run":
            await ctx.run(slow)
        return await ctx.generate("a")

    worker = stage.worker(program).start()
    held = stage.wire.hold("append", "aios.journal.worker") if waits_for == "started" else None
    stage.task("t1")
    stage.settle()
    rogue = JournalRecord("t1", 0, "9", "0" * 16, JournalKind.VALUE, Outcome.OK, content="1")
    stage.journaled(rogue)
    stage.settle()
    assert worker.tenure.live["t1"].run.stuck is not None
    if held is not None:
        held.release()
    stage.advance(60)
    assert sorted(stage.noted()) == [("STARTED", None), ("VALUE", "9")]
    assert stage.asked() == []


# -- rule 24: order ---------------------------------------------------------------------------------------------------


def test_rule_24_start_order_is_task_order_and_tasks_overlap(stage: Stage) -> None:
    stage.worker(asks).start()
    for name in ("t1", "t2", "t3"):
        stage.task(name)
    stage.settle()
    assert stage.asked() == ["t1/1", "t2/1", "t3/1"]


def test_rule_24_start_order_holds_after_a_restore(stage: Stage) -> None:
    began: list[str] = []

    async def notes(ctx: Context, value: str) -> str:
        began.append(value)
        return await ctx.generate(value)

    first = stage.worker(notes).start()
    for name in ("t1", "t2", "t3"):
        stage.task(name, name)
    stage.settle()
    stage.answer(stage.prompts()[1])
    stage.settle()
    first.kill()
    began.clear()
    stage.worker(notes, "b").start()
    assert began == ["t1", "t3"]


def serial(stage: Stage, name: str = "a") -> Worker:
    return stage.worker(asks, name, order=Order.SERIAL).start()


def test_rule_24_serial_tasks_of_a_key_follow_each_other_and_keys_do_not_wait(stage: Stage) -> None:
    worker = serial(stage)
    for name, key in (("t1", "x"), ("t2", "x"), ("t3", "y"), ("t4", None), ("t5", None)):
        stage.task(name, key=key)
    stage.settle()
    assert stage.asked() == ["t1/1", "t3/1", "t4/1", "t5/1"]
    results = stage.wire.hold("ack", "aios.results.worker")
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert stage.asked()[4:] == [], "its result is not on the log for certain"
    results.release()
    stage.settle()
    assert stage.asked()[4:] == ["t2/1"]
    stage.answer(stage.prompts()[-1])
    stage.settle()
    assert [task for task, _, _ in outcomes(stage, worker)] == ["t1", "t2"]
    assert set(worker.tenure._lanes) == {"y"}


def test_rule_24_serial_order_holds_after_a_restore(stage: Stage) -> None:
    first = serial(stage)
    for name in ("t1", "t2", "t3"):
        stage.task(name, key="x")
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert stage.asked() == ["t1/1", "t2/1"]
    first.kill()
    second = serial(stage, "b")
    assert stage.asked() == ["t1/1", "t2/1", "t2/1"]
    stage.answer(stage.prompts()[-1])
    stage.settle()
    assert stage.asked()[3:] == ["t3/1"]
    stage.answer(stage.prompts()[-1])
    stage.settle()
    assert [task for task, _, _ in outcomes(stage, second)] == ["t1", "t2", "t3"]


def test_rule_24_a_queued_task_keeps_the_records_that_came_for_it(stage: Stage) -> None:
    worker = serial(stage)
    stage.task("t1", key="x")
    stage.task("t2", key="x")
    stage.settle()
    stage.cancel("t2")
    stage.settle()
    assert outcomes(stage, worker) == []
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert [(task, outcome) for task, outcome, _ in outcomes(stage, worker)] == [
        ("t1", Outcome.OK),
        ("t2", Outcome.CANCELLED),
    ]
    assert stage.asked() == ["t1/1"]


# -- rule 25: cancel --------------------------------------------------------------------------------------------------


def test_rule_25_a_cancelled_task_has_a_cancelled_result(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    stage.cancel("t1")
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    (result,) = stage.results(worker)
    assert (result.outcome, result.error.type) == (Outcome.CANCELLED, "Cancelled")
    assert worker.tenure.offsets.open == 0


def test_rule_25_a_cancel_behind_the_answer_is_ignored(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.cancel("t1")
    stage.settle()
    assert outcomes(stage, worker) == [("t1", Outcome.OK, "ok")]
    assert worker.tenure._buffer == {}


@pytest.mark.parametrize("restarted", [False, True])
def test_rule_25_a_cancel_before_its_task_is_kept_and_applied_at_admission(stage: Stage, restarted: bool) -> None:
    worker = stage.worker(asks).start()
    stage.cancel("t1")
    stage.advance(3)
    if restarted:
        worker.kill()
        worker = stage.worker(asks, "b").start()
    stage.task("t1")
    stage.settle()
    assert stage.asked() == []
    assert [(task, outcome) for task, outcome, _ in outcomes(stage, worker)] == [("t1", Outcome.CANCELLED)]


def test_rule_25_the_order_of_the_journal_decides_after_a_restart_too(stage: Stage) -> None:
    first = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    first.kill()
    stage.cancel("t1")
    stage.answer(stage.prompts()[0])
    second = stage.worker(asks, "b").start()
    assert [(task, outcome) for task, outcome, _ in outcomes(stage, second)] == [("t1", Outcome.CANCELLED)]
    assert stage.asked() == ["t1/1"]


# -- rule 10: Bbase ---------------------------------------------------------------------------------------------------


class Bases:
    """Rule 10 by brute force, read off the topics. ``admitted``: where the journal ended when a task was admitted."""

    def __init__(self, stage: Stage, worker: Worker) -> None:
        self.stage = stage
        self.worker = worker
        self.admitted: dict[str, int] = {}

    def task(self, name: str, key: str) -> None:
        self.admitted[name] = len(self.stage.broker.records("aios.journal.worker", 0))
        self.stage.task(name, key=key)

    def needed(self) -> list[int]:
        """Offsets of the records that a restore must read: those of tasks without a result."""
        done = {result.task_id for result in self.stage.results(self.worker)}
        codec = self.worker.setup.codec
        return [
            record.offset
            for record in self.stage.broker.records("aios.journal.worker", 0)
            if record.value is not None and codec.decode_as(JournalRecord, record.value).task_id not in done
        ]

    def check(self, base: int) -> None:
        done = {result.task_id for result in self.stage.results(self.worker)}
        needed, end = self.needed(), self.worker.tenure._journal_next
        held = [position for name, position in self.admitted.items() if name not in done]
        assert base <= min([*needed, end]), "a restore would miss records of an open task"
        assert base >= min([*needed, *held, end]), "something that is not needed holds the journal back"


@pytest.mark.parametrize("order", list(Order))
def test_rule_10_the_journal_base_is_what_a_restore_needs(stage: Stage, order: Order) -> None:
    worker = stage.worker(asks_twice, order=order).start()
    bases = Bases(stage, worker)
    actions: list[Callable[[], object]] = [
        lambda: bases.task("t1", "x"),
        lambda: bases.task("t2", "x"),
        lambda: stage.cancel("later"),
        lambda: stage.answer(stage.prompts()[0]),
        lambda: bases.task("t3", "y"),
        lambda: stage.answer(stage.prompts()[-1]),
        lambda: stage.cancel("t1"),
        lambda: bases.task("later", "z"),
        lambda: stage.answer(stage.prompts()[-1]),
        lambda: stage.cancel("t2"),
        lambda: stage.cancel("t3"),
    ]
    seen = set()
    for act in actions:
        act()
        stage.settle()
        for stored in ((), worker.tenure.offsets.stored()):
            bases.check(worker.tenure.journal_floor(stored))
        seen.add(worker.tenure.journal_floor(()))
    assert len(seen) > 3
    assert worker.tenure.live == {}
    stage.advance(2)
    committed = stage.committed()
    assert committed is not None
    assert committed.journal == worker.tenure._journal_next


def test_rule_10_a_restore_from_the_committed_base_has_all_records_of_an_open_task(stage: Stage) -> None:
    first = stage.worker(asks_twice).start()
    for name in ("t1", "t2"):
        stage.task(name, name)
    stage.settle()
    stage.answer(stage.prompts()[0], "one ")
    for _ in range(2):
        stage.settle()
        stage.answer(stage.prompts()[-1] if len(stage.prompts()) == 3 else stage.prompts()[1], "two ")
    stage.advance(3)
    committed = stage.committed()
    assert committed is not None
    assert committed.journal > 0
    stage.broker.truncate("aios.journal.worker", 0, committed.journal)
    first.kill()
    before = len(stage.prompts())
    second = stage.worker(asks_twice, "b").start()
    assert [live.run.stuck for live in second.tenure.live.values()] == [None] * len(second.tenure.live)
    assert len(stage.prompts()) - before == len(second.tenure.live), "one step of each open task"


def test_a_record_of_a_task_that_is_in_the_stored_set_holds_nothing_back(stage: Stage) -> None:
    for name in ("t0", "t1"):
        stage.task(name)
    stage.commit(Commit(base=0, own=0, journal=0, completed=(1,)))
    stage.journaled(JournalRecord("t1", 1, "1", None, JournalKind.TIMER, Outcome.OK))
    worker = stage.worker(asks).start()
    assert list(worker.tenure.live) == ["t0"]
    assert worker.tenure._buffer == {}


# -- how an ownership ends --------------------------------------------------------------------------------------------


def test_a_second_owners_marker_ends_the_first(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    tenure = worker.tenure
    _, headers = marker("somebody")
    stage.broker.append(Outgoing("aios.journal.worker", 0, None, None, headers))
    stage.settle()
    assert tenure.phase is Phase.STOPPED
    assert tenure.live == {}


def test_a_full_worker_admits_no_more(stage: Stage) -> None:
    worker = stage.worker(asks, live_limit=1).start()
    stage.task("t1")
    stage.task("t2")
    stage.settle()
    assert list(worker.tenure.live) == ["t1"]
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert list(worker.tenure.live) == ["t2"]


def test_drain_does_not_wait_for_open_tasks_and_commits(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    began = stage.now
    assert worker.tenure.idle()
    stage.finish(worker.processor.drain(grace=10.0))
    assert stage.now - began < 1
    assert stage.committed() is not None


def test_a_deadline_ends_a_task_that_nobody_answers(stage: Stage) -> None:
    worker = stage.worker(asks, limits=SHORT).start()
    stage.task("t1")
    stage.settle()
    stage.advance(31)
    (result,) = stage.results(worker)
    assert (result.error.type, result.error.step) == ("StepTimeout", "deadline")
    assert stage.noted() == [("STARTED", None), ("TIMER", "deadline")]


def test_a_deadline_holds_for_the_next_owner(stage: Stage) -> None:
    first = stage.worker(asks, limits=SHORT).start()
    stage.task("t1")
    stage.settle()
    first.kill()
    stage.advance(31)
    second = stage.worker(asks, "b", limits=SHORT).start()
    stage.advance(1)
    assert [result.error.type for result in stage.results(second)] == ["StepTimeout"]


def test_a_task_past_its_deadline_is_not_started(stage: Stage) -> None:
    stage.task("t1")
    stage.advance(31)
    worker = stage.worker(asks, limits=SHORT).start()
    (result,) = stage.results(worker)
    assert result.error.message == "past its deadline before it could be started"
    assert stage.asked() == []
    assert stage.noted() == []


def test_a_task_that_waits_for_nothing_ends_at_its_deadline(stage: Stage) -> None:
    async def program(_ctx: Context, _value: str) -> str:
        await asyncio.Event().wait()
        return "never"

    worker = stage.worker(program, limits=SHORT).start()
    stage.task("t1")
    stage.settle()
    stage.advance(31)
    assert len(stage.results(worker)) == 1


def test_an_own_log_that_somebody_else_finished_counts(stage: Stage) -> None:
    """Two owners overlap: the first result of the id is the result, and it is what the parent hears."""
    zombie = stage.worker(asks).start()
    stage.task("t1", headers=reply_headers())
    stage.settle()
    results = stage.wire.hold("append", "aios.results.worker")
    stage.answer(stage.prompts()[0], "first")
    stage.settle()
    value = json.dumps({"text": "second"})
    (held,) = results.messages
    held[1]()  # the zombie's result lands, and its acknowledgement is not heard before mine is on its way
    results.messages.clear()
    results.release()
    assert outcomes(stage, zombie) == [("t1", Outcome.OK, "first")]
    zombie.kill()
    second = stage.worker(asks, "b").start()
    stage.run(lambda: bool(stage.journal("child")))
    assert stage.journal("child")[0].content == '"first"'
    assert value not in [record.content for record in stage.journal("child")]
    assert len(stage.results(second)) == 1


def test_limits_reach_the_requests(stage: Stage) -> None:
    stage.worker(asks, limits=Limits(usd_micros=77)).start()
    stage.task("t1", headers=[("ce_costlimitusd", b"0.00005")])
    stage.settle()
    (request,) = stage.prompts()
    assert Grant.decode(request.header(GRANT) or b"").usd_micros == 50
    assert Route.decode(request.header(ROUTE) or b"").usd_micros == 50
