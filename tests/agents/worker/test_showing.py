"""What tasks tell of themselves, on the topic of deltas: live, for those who asked, and nothing hangs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiosv3.agents import Context
from aiosv3.schemas.deltas import Delta, DeltaKind
from aiosv3.schemas.headers import CE_SUBJECT
from aiosv3.schemas.records import Outcome

if TYPE_CHECKING:
    from tests.agents.conftest import Stage

FOLLOWED = [("ce_stream", b"0")]


async def telling(ctx: Context, value: str) -> str:
    ctx.progress("begun", 0.1)
    first = await ctx.generate(value)
    ctx.progress("half of it", 0.5)
    return first + await ctx.generate("more")


async def parent(ctx: Context, value: str) -> str:
    return str(await ctx.call("child", value))


def test_progress_is_shown_while_the_task_runs(stage: Stage) -> None:
    worker = stage.worker(telling).start()
    offset = stage.task("t1", headers=FOLLOWED)
    stage.settle()
    (record,) = stage.broker.records("aios.deltas")
    assert stage.codec.decode_as(Delta, record.value or b"") == Delta(
        root_id="t1",
        task_id="t1",
        agent="worker",
        step_id="progress.1",
        attempt=1,
        epoch=worker.tenure.epoch,
        sequence=0,
        kind=DeltaKind.PROGRESS,
        fraction=0.1,
        content="begun",
    )
    assert record.key == b"t1/progress.1"
    assert record.header(CE_SUBJECT) == b"t1"
    assert record.header("ce_source") == f"aios.tasks.worker/0/{offset}".encode()
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert stage.shown() == [("t1", "progress.1", "begun"), ("t1", "progress.2", "half of it")]


def test_nobody_asked_and_nothing_is_sent(stage: Stage) -> None:
    stage.worker(telling).start()
    stage.task("t1")
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert stage.shown() == []


def test_a_partition_that_there_is_not_costs_the_task_nothing(stage: Stage) -> None:
    worker = stage.worker(telling).start()
    stage.task("t1", headers=[("ce_stream", b"7")])
    stage.settle()
    for _ in range(2):
        stage.answer(stage.prompts()[-1])
        stage.settle()
    assert [result.outcome for result in stage.results(worker)] == [Outcome.OK]
    assert stage.shown() == []
    assert worker.wiring.metrics.deltas_misaddressed._value.get() == 2


def test_who_follows_the_root_sees_what_it_calls(stage: Stage) -> None:
    stage.worker(parent).start()
    stage.worker(telling, "b", name="child").start()
    stage.task("t1", headers=FOLLOWED)
    stage.settle()
    (record,) = stage.broker.records("aios.deltas")
    delta = stage.codec.decode_as(Delta, record.value or b"")
    assert (delta.root_id, delta.task_id, delta.agent) == ("t1", "t1/1", "child")
    assert record.header(CE_SUBJECT) == b"t1"


def test_another_owner_shows_the_newest_again_under_its_own_epoch_and_nothing_older(stage: Stage) -> None:
    first = stage.worker(telling).start()
    stage.task("t1", headers=FOLLOWED)
    stage.settle()
    stage.answer(stage.prompts()[0])
    stage.settle()
    first.kill()
    second = stage.worker(telling, "b").start()
    stage.settle()
    deltas = [stage.codec.decode_as(Delta, one.value or b"") for one in stage.broker.records("aios.deltas")]
    assert [(one.step_id, one.epoch) for one in deltas[2:]] == [("progress.2", second.tenure.epoch)]
    assert second.tenure.epoch > deltas[1].epoch
    stage.answer(stage.prompts()[-1])
    stage.settle()
    assert [result.outcome for result in stage.results(second)] == [Outcome.OK]
