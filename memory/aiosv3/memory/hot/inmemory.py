"""Hot state in this process: for one process alone, and for tests."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiosv3.memory.hot.errors import Fenced, HotUnavailable
from aiosv3.memory.hot.port import Delete, Hot, Keep, Mark, Place, Push, Step


@dataclass(slots=True)
class _Held:
    mark: Mark
    until: float
    values: dict[str, bytes] = field(default_factory=dict)
    windows: dict[str, deque[bytes]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def clear(self) -> None:
        for held in (self.values, self.windows, self.counters):
            held.clear()


class InMemoryHotState:
    """Implements ``HotState``. ``live``: seconds after the last write that a place is kept; its mark stays."""

    def __init__(self, live: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._live = live
        self._clock = clock
        self._places: dict[Place, _Held] = {}
        self._closed = False

    async def write(self, place: Place, mark: Mark, steps: Sequence[Step]) -> bool:
        """See ``HotState``."""
        held = self._owned(place, mark)
        if held is None:
            return False
        for step in steps:
            _take(held, step)
        return True

    async def read(self, place: Place) -> Hot:
        """See ``HotState``."""
        held = self._held(place)
        if held is None:
            return Hot()
        return Hot(dict(held.values), {name: list(items) for name, items in held.windows.items()}, dict(held.counters))

    async def drop(self, place: Place, mark: Mark) -> bool:
        """See ``HotState``."""
        held = self._owned(place, mark)
        if held is not None:
            held.clear()
        return held is not None

    async def close(self) -> None:
        """See ``HotState``."""
        self._closed = True
        self._places.clear()

    def _held(self, place: Place) -> _Held | None:
        if self._closed:
            raise HotUnavailable("the store is closed")
        held = self._places.get(place)
        if held is not None and held.until <= self._clock():
            held.clear()
        return held

    def _owned(self, place: Place, mark: Mark) -> _Held | None:
        """What the mark may change; None where it has done so before."""
        held = self._held(place)
        if held is None:
            held = self._places[place] = _Held(Mark(mark.epoch, mark.sequence - 1), 0.0)
        if mark.epoch < held.mark.epoch:
            raise Fenced(held.mark.epoch)
        done = mark.sequence <= held.mark.sequence
        held.mark = Mark(mark.epoch, max(mark.sequence, held.mark.sequence))
        held.until = self._clock() + self._live
        return None if done else held


def _take(held: _Held, step: Step) -> None:
    if isinstance(step, Keep):
        held.values[step.name] = step.value
    elif isinstance(step, Delete):
        for kind in (held.values, held.windows, held.counters):
            kind.pop(step.name, None)
    elif isinstance(step, Push):
        held.windows[step.name] = deque([*held.windows.get(step.name, ()), step.item], maxlen=step.most)
    else:
        held.counters[step.name] = held.counters.get(step.name, 0) + step.amount
