"""An agent's partition: the ordinary way, duplicates, restore, code that changed (protocol rules 14, 16, 20, 22)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context, Limits
from aiosv3.schemas.headers import CE_ID, GRANT, REPLY, ROUTE, Route
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.streams.log import Headers, Outgoing
from aiosv3.streams.tenure import Phase

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker

SHORT = Limits(deadline=timedelta(seconds=30))


async def asks(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}")


async def asks_twice(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}") + await ctx.generate("and then")


async def echoes(_ctx: Context, value: str) -> str:
    return value


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
    assert (result.input_offset, result.task_key, result.code_version, result.usage.model_calls) == (
        offset,
        "k",
        "v1",
        1,
    )
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


async def _one() -> Any:
    return 1


@pytest.mark.parametrize("waits_for", ["sleep", "run", "started"])
def test_rule_20_a_task_that_gets_stuck_later_journals_nothing_of_what_it_was_waiting_for(
    stage: Stage, waits_for: str
) -> None:
    """Its step ids are those of the wrong code: a value under such an id would stop the code that fits as well."""

    async def slow() -> Any:
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
