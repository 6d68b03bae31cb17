"""How workflows are asked for, in whichever environment that is."""

from __future__ import annotations

import asyncio
import sys

from beside.places import PROGRAMS

sys.path.append(str(PROGRAMS))

import steps_work  # type: ignore[import-not-found]


def test_so_many_are_at_work_at_once_and_each_once() -> None:
    working, most, done = 0, 0, []

    async def run(name: str) -> None:
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0)
        working -= 1
        done.append(name)

    names = [str(number) for number in range(20)]
    took = asyncio.run(steps_work.together(run, names, 5))
    assert (most, sorted(done), len(took)) == (5, sorted(names), 20)


def test_a_slow_system_ends_in_time() -> None:
    async def run(_name: str) -> None:
        await asyncio.sleep(0)

    assert len(asyncio.run(steps_work.together(run, ["a", "b", "c", "d"], 2, seconds=0.0))) == 2


def test_a_step_is_a_kibibyte() -> None:
    assert len(asyncio.run(steps_work.step("s-1", 1))) == 1_024


def test_waiting_for_a_count_ends_with_what_is_there() -> None:
    seen = iter([1, 2, 3, 3, 3])

    async def count() -> int:
        return next(seen)

    assert asyncio.run(steps_work.polled(count, 3, 30)) == 3
    assert asyncio.run(steps_work.polled(count, 9, 0.0)) == 3
