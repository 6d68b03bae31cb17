"""The timers of tasks that sleep: one heap, and one timer of the loop for the soonest."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from aiosv3.agents.worker.parked import Parked, ParkedTasks
from aiosv3.schemas.records import CarryTimer

_FEW: Final = 1_024

_Alarm: TypeAlias = tuple[float, int, str, str, str, int]
"""Loop time, which sleep of its task, task, step, hash of the step, due (ms).

A plain tuple of plain values: of a million of them Python's collector sees none, while a handle of the loop each, with
what it calls, cost it seconds at a time.
"""


class Alarms:
    """``fire(parked, timer)`` when one is due and its task still sleeps that sleep. Clock in ms."""

    def __init__(
        self, table: ParkedTasks, clock: Callable[[], int], fire: Callable[[Parked, CarryTimer], None]
    ) -> None:
        self._table = table
        self._clock = clock
        self._fire = fire
        self._heap: list[_Alarm] = []
        self._most = _FEW
        self._sleeps = 0
        self._handle: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, parked: Parked, timers: Iterable[CarryTimer]) -> None:
        """``parked`` sleeps from here on, until one of them is due or something comes for it."""
        self._sleeps += 1
        parked.sleep = self._sleeps
        loop, now = asyncio.get_running_loop(), self._clock()
        for timer in timers:
            at = loop.time() + max(0, timer.due - now) / 1000
            heapq.heappush(self._heap, (at, parked.sleep, parked.task_id, timer.step, timer.hash, timer.due))
        if len(self._heap) > self._most:
            self._sweep()
        self._arm()

    def stop(self) -> None:
        """The ownership ends."""
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _sweep(self) -> None:
        """Drops those of tasks that were roused or are gone, which else would stay until they are due."""
        self._heap = [alarm for alarm in self._heap if self._sleeper(alarm) is not None]
        heapq.heapify(self._heap)
        self._most = max(_FEW, 2 * len(self._heap))

    def _sleeper(self, alarm: _Alarm) -> Parked | None:
        parked = self._table.get(alarm[2])
        return parked if parked is not None and parked.sleep == alarm[1] else None

    def _arm(self) -> None:
        if not self._heap:
            return
        soonest = self._heap[0][0]
        if self._handle is not None:
            if self._handle.when() <= soonest:
                return
            self._handle.cancel()
        self._handle = asyncio.get_running_loop().call_at(soonest, self._ring)

    def _ring(self) -> None:
        self._handle = None
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            alarm = heapq.heappop(self._heap)
            if (parked := self._sleeper(alarm)) is not None:
                self._fire(parked, CarryTimer(*alarm[3:]))
        self._arm()
