"""Timers of tasks that sleep: due once, not for those that were roused or are gone, and nothing stays of them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents.worker import alarms as module
from aiosv3.agents.worker.alarms import Alarms
from aiosv3.agents.worker.parked import Parked, ParkedTasks
from aiosv3.schemas.records import CarryTimer

if TYPE_CHECKING:
    from tests.agents.conftest import Stage


class Bench:
    """A table of tasks whose timers tell here when they are due."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.table = ParkedTasks()
        self.rung: list[str] = []
        self.alarms = Alarms(self.table, stage.clock_ms, self._fire)

    def _fire(self, parked: Parked, timer: CarryTimer) -> None:
        self.rung.append(f"{parked.task_id}/{timer.step}")

    def task(self, number: int) -> Parked:
        one = Parked(f"t{number}", number, None, 0, 0, carried=0, mark=0, size=100)
        self.table.add(one)
        return one

    def sleep(self, parked: Parked, *seconds: float) -> None:
        """With a timer for each of ``seconds`` from now."""
        parked.body = b"carry"
        now = self.stage.clock_ms()
        timers = [CarryTimer(str(step), "hash", now + int(after * 1000)) for step, after in enumerate(seconds)]
        self.within(lambda: self.alarms.set(parked, timers))

    def within(self, function: Callable[[], object]) -> None:
        """On the loop."""

        async def call() -> None:
            function()

        coro: Coroutine[Any, Any, None] = call()
        self.stage.finish(coro)


@pytest.fixture
def bench(stage: Stage) -> Bench:
    return Bench(stage)


def test_they_are_due_in_their_order_each_once(bench: Bench) -> None:
    bench.sleep(bench.task(1), 3, 1)
    bench.sleep(bench.task(2), 2)
    assert bench.rung == []
    bench.stage.advance(1.5)
    assert bench.rung == ["t1/1"]
    bench.stage.advance(1)
    assert bench.rung == ["t1/1", "t2/0"]
    bench.stage.advance(60)
    assert bench.rung == ["t1/1", "t2/0", "t1/0"]
    assert len(bench.alarms) == 0


def test_one_that_is_overdue_is_due_now(bench: Bench) -> None:
    bench.sleep(bench.task(1), -5)
    bench.stage.advance(0.001)
    assert bench.rung == ["t1/0"]


def test_a_task_that_was_roused_has_those_of_its_next_sleep(bench: Bench) -> None:
    one = bench.task(1)
    bench.sleep(one, 1, 5)
    one.rouse()
    bench.stage.advance(2)
    bench.sleep(one, 4)
    bench.stage.advance(3.5)
    assert bench.rung == []
    bench.stage.advance(1)
    assert bench.rung == ["t1/0"]


def test_a_task_that_is_gone_has_none(bench: Bench) -> None:
    bench.sleep(bench.task(1), 1)
    bench.sleep(bench.task(2), 1)
    bench.table.remove(1)
    bench.stage.advance(2)
    assert bench.rung == ["t2/0"]


def test_a_sooner_one_does_not_wait_for_a_later_one(bench: Bench) -> None:
    bench.sleep(bench.task(1), 600)
    bench.sleep(bench.task(2), 1)
    bench.stage.advance(2)
    assert bench.rung == ["t2/0"]


def test_nothing_is_due_after_the_end(bench: Bench) -> None:
    bench.sleep(bench.task(1), 1)
    bench.within(bench.alarms.stop)
    bench.stage.advance(5)
    assert bench.rung == []


def test_timers_of_tasks_that_were_roused_do_not_pile_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that is answered each minute and may take a week would leave ten thousand."""
    monkeypatch.setattr(module, "_FEW", 8)
    bench.alarms = Alarms(bench.table, bench.stage.clock_ms, bench._fire)
    one, other = bench.task(1), bench.task(2)
    bench.sleep(other, 3_600)
    for _ in range(200):
        bench.sleep(one, 604_800)
        one.rouse()
        assert len(bench.alarms) <= 2 * 8 + 1
    bench.stage.advance(3_700)
    assert bench.rung == ["t2/0"]


def test_the_collector_sees_no_more_of_a_sleeping_task_than_the_task(bench: Bench) -> None:
    """Else it walks over millions of objects, for seconds, while nothing else goes on."""
    tasks = [bench.task(number) for number in range(2_000)]
    gc.collect()
    before = len(gc.get_objects())

    def set_all() -> None:
        for one in tasks:
            bench.alarms.set(one, [CarryTimer("1", "hash", 1 << 50)])

    bench.within(set_all)
    gc.collect()
    assert len(gc.get_objects()) - before < 200
