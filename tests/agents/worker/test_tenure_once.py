"""Results of ``exactly_once`` agents: an owner that has lost its partition adds none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiosv3.agents import Context, Guarantee

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker


async def echoes(_ctx: Context, value: str) -> str:
    return value


def overlapping(stage: Stage, guarantee: Guarantee) -> tuple[Worker, Worker]:
    """An owner with a result on its way is expelled and does not know; the next one ends the task; then it lands."""
    old = stage.worker(echoes, guarantee=guarantee).start()
    late = stage.wire.hold("append", stage.topics.results("worker"))
    stage.task("t1", "once")
    stage.settle()
    stage.wire.holding.remove(late)
    assert late.messages, "the result is on its way"
    stage.broker.group("agent.worker", old.wiring.input_topic).remove("a", "expelled")
    new = stage.worker(echoes, "b", guarantee=guarantee).start()
    stage.run(lambda: bool(stage.results(new)))
    for host, arrive in late.messages:
        host.call(arrive)
    stage.advance(60)
    return old, new


def test_a_result_of_the_last_owner_never_lands(stage: Stage) -> None:
    old, new = overlapping(stage, Guarantee.EXACTLY_ONCE)
    assert [result.task_id for result in stage.results(new)] == ["t1"]
    stage.task("t2", "more")
    stage.advance(60)
    assert [result.task_id for result in stage.results(new)] == ["t1", "t2"]
    assert len(old.processor.tenures) + len(new.processor.tenures) == 1, "one of them owns the partition"


def test_with_the_default_a_copy_lands(stage: Stage) -> None:
    """All copies say the same; whoever keeps the first of an id sees one."""
    _, new = overlapping(stage, Guarantee.AT_LEAST_ONCE)
    first, second = stage.results(new)
    assert (first.task_id, first.content) == (second.task_id, second.content) == ("t1", "once")


@pytest.mark.parametrize("guarantee", list(Guarantee))
def test_results_follow_each_other_and_are_acknowledged(stage: Stage, guarantee: Guarantee) -> None:
    worker = stage.worker(echoes, guarantee=guarantee).start()
    for number in range(5):
        stage.task(f"t{number}")
        stage.settle()
    assert [result.task_id for result in stage.results(worker)] == [f"t{number}" for number in range(5)]
    assert worker.tenure.offsets.base == 5
    worker.kill()
    again = stage.worker(echoes, "b", guarantee=guarantee).start()
    stage.settle()
    assert len(stage.results(again)) == 5
