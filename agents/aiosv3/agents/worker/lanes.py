"""Order of the tasks of a key: with ``order="serial"`` one after the other (protocol rule 24)."""

from __future__ import annotations

from collections import deque
from collections.abc import KeysView

from aiosv3.agents.agent import Order


class Lanes:
    """A queue of task ids for each key, in task-offset order; the head of a lane is the one that runs.

    A parked task keeps its place, asleep or not. Tasks without a key wait for nobody.
    """

    def __init__(self, order: Order) -> None:
        self._serial = order is Order.SERIAL
        self._lanes: dict[str, deque[str]] = {}

    def keys(self) -> KeysView[str]:
        """The keys that have open tasks."""
        return self._lanes.keys()

    def enter(self, key: str | None, task_id: str) -> bool:
        """Takes its place behind its key; True if it may begin."""
        if not self._serial or key is None:
            return True
        lane = self._lanes.setdefault(key, deque())
        lane.append(task_id)
        return lane[0] == task_id

    def leave(self, key: str | None, task_id: str) -> str | None:
        """It has its result: the task that may begin now, if it was its turn and one waits."""
        lane = self._lanes.get(key) if key is not None else None
        if key is None or not lane or task_id not in lane:
            return None
        head = lane[0] == task_id
        lane.remove(task_id)
        if not lane:
            del self._lanes[key]
        return lane[0] if head and lane else None
