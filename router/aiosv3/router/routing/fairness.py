"""Turns at a pool that is full: by tenant and weight, so that nobody's flood keeps others waiting for its end.

Start-time fair queueing (Goyal, Vin, Cheng 1996): the line whose last turns have cost the least so far, its weight
counted, is next; a tenant that was away saves nothing up.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_LINES_KEPT: Final = 10_000
_NEVER: Final = 2**63


class Turn(NamedTuple):
    """Who wants a turn. ``cost``: how much of the pool it takes (tokens); ``priority``: lower is sooner; ``ends``: ms.

    Priority and deadline order the turns of one tenant; they take nothing from another one.
    """

    tenant: str
    cost: int = 1
    priority: int = 0
    ends: int | None = None


@dataclass(order=True, slots=True)
class _Waiting:
    priority: int
    ends: int
    number: int
    cost: int = field(compare=False)
    called: asyncio.Future[None] = field(compare=False)


@dataclass(slots=True)
class _Line:
    paid: float = 0.0
    """The virtual time up to which this tenant has had its turns."""
    waiting: list[_Waiting] = field(default_factory=list)


class FairTurns:
    """At most ``slots`` turns at once. ``weight`` gives a tenant's part, above 0."""

    def __init__(self, slots: int, weight: Callable[[str], float]) -> None:
        self._slots = slots
        self._free = slots
        self._weight = weight
        self._lines: dict[str, _Line] = {}
        self._now = 0.0
        self._number = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(len(line.waiting) for line in self._lines.values())

    @asynccontextmanager
    async def turn(self, turn: Turn) -> AsyncIterator[None]:
        """Waits for a turn and has it."""
        await self._enter(turn)
        try:
            yield
        finally:
            self._free += 1
            self._call_next()

    async def _enter(self, turn: Turn) -> None:
        line = self._lines.setdefault(turn.tenant, _Line())
        if self._free > 0:
            self._take(turn.tenant, line, turn.cost)
            return
        self._number += 1
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ends = _NEVER if turn.ends is None else turn.ends
        heapq.heappush(line.waiting, _Waiting(turn.priority, ends, self._number, turn.cost, called))
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():  # its turn had come: it goes to the next one
                self._free += 1
                self._call_next()
            raise

    def _take(self, tenant: str, line: _Line, cost: int) -> None:
        begins = max(self._now, line.paid)
        self._now = begins
        line.paid = begins + max(1, cost) / self._weight(tenant)
        self._free -= 1

    def _call_next(self) -> None:
        while self._free > 0:
            tenant = self._first()
            if tenant is None:
                self._forget()
                return
            line = self._lines[tenant]
            next_one = heapq.heappop(line.waiting)
            self._take(tenant, line, next_one.cost)
            next_one.called.set_result(None)

    def _first(self) -> str | None:
        """The line whose turn it is; those who gave up are taken out."""
        best: tuple[float, int, str] | None = None
        for tenant, line in self._lines.items():
            while line.waiting and line.waiting[0].called.done():
                heapq.heappop(line.waiting)
            if line.waiting:
                place = (max(self._now, line.paid), line.waiting[0].number, tenant)
                best = place if best is None else min(best, place)
        return None if best is None else best[2]

    def _forget(self) -> None:
        """Nobody waits. Once nobody is at work either, all begin anew; else lines that owe nothing are as new ones."""
        if self._free == self._slots:
            self._lines.clear()
            self._now = 0.0
        elif len(self._lines) > _LINES_KEPT:
            self._lines = {name: line for name, line in self._lines.items() if line.paid > self._now}
