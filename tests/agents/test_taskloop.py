"""The loop of one task: timers are told, never counted down, and the outside is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from aiosv3.agents.errors import OutsideStep
from aiosv3.agents.taskloop import TaskLoop


class Told:
    """A loop and what it said about its timers."""

    def __init__(self) -> None:
        self.now = 100.0
        self.set: list[asyncio.TimerHandle] = []
        self.dropped: list[asyncio.TimerHandle] = []
        self.loop = TaskLoop(lambda: self.now, self.set.append, self.dropped.append)


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.loop.close()


def test_a_timer_is_told_and_fires_by_hand_only(told: Told) -> None:
    fired: list[str] = []
    timer = told.loop.call_later(5, fired.append, "due")
    assert told.set == [timer]
    assert timer.when() == 105.0
    told.now = 1_000.0
    told.loop.run_due()
    told.loop.run_until_idle()
    assert fired == []
    told.loop.fire(timer)
    told.loop.run_until_idle()
    assert fired == ["due"]


def test_a_cancelled_timer_is_told_and_does_not_fire(told: Told) -> None:
    fired: list[str] = []
    timer = told.loop.call_at(5, fired.append, "due")
    timer.cancel()
    assert told.dropped == [timer]
    told.loop.fire(timer)
    told.loop.run_until_idle()
    assert fired == []


def test_a_closed_loop_sets_no_timers(told: Told) -> None:
    told.loop.close()
    told.loop.call_later(1, lambda: None)
    assert told.set == []


@pytest.mark.parametrize("name", ["run_in_executor", "create_connection", "sock_recv", "getaddrinfo", "run_forever"])
def test_the_outside_is_refused_by_name(told: Told, name: str) -> None:
    with pytest.raises(OutsideStep, match=rf"^loop\.{name}\(\) reaches outside .*wrap it in ctx\.run\(\.\.\.\)$"):
        getattr(told.loop, name)()


def test_failures_that_nobody_awaits_are_kept_nowhere(told: Told) -> None:
    async def fails() -> None:
        raise ValueError("unseen")

    told.loop.create_task(fails())
    told.loop.run_until_idle()
    told.loop.call_exception_handler({"message": "a task was never awaited"})
    assert told.loop.exceptions == []


def test_code_that_needs_a_loop_to_end_is_cancelled_where_the_rest_is_dropped() -> None:
    ends: list[str] = []

    async def needs_a_loop(name: str) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            ends.append(f"{name} cancelled")
        except GeneratorExit:
            ends.append(f"{name} dropped")
            raise

    loop = TaskLoop(lambda: 0.0, lambda _: None, lambda _: None)
    first, _, done = (loop.create_task(needs_a_loop(name)) for name in ("first", "other", "done"))
    loop.run_to_quiescence()
    with loop.cancelled_first(done):
        pass
    with loop.cancelled_first(first):
        loop.close()
    assert ends == ["first cancelled", "done dropped", "other dropped"]
    loop.close()
