"""Deltas as they come, some late, twice or not at all, as what is to be shown of each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from aiosv3.schemas.deltas import Delta, DeltaKind


class Shown(NamedTuple):
    """What to do with a delta: erase what stands there, say that ``missing`` pieces were lost, then show it."""

    erases: bool = False
    missing: int = 0


@dataclass(slots=True)
class _Step:
    """Of one step: which call of the model is shown, the next piece of it, and whether anything stands there."""

    call: tuple[int, int]
    next: int
    shown: bool = False


class Folding:
    """One reader's view of a tree. ``from_start``: it reads from before the first delta, so a hole there is a loss."""

    def __init__(self, *, from_start: bool = True) -> None:
        self._from_start = from_start
        self._steps: dict[tuple[str, str], _Step] = {}

    def take(self, delta: Delta) -> Shown | None:
        """None: out of date, or known already."""
        if delta.kind is DeltaKind.PROGRESS:
            return Shown()
        name, call = (delta.task_id, delta.step_id), (delta.attempt, delta.epoch)
        step = self._steps.get(name)
        if step is None:
            first = 0 if self._from_start else delta.sequence
            step = self._steps[name] = _Step(call, first)
        elif call < step.call:
            return None
        erases = step.shown and (call > step.call or delta.sequence == 0)
        if call > step.call or (delta.sequence == 0 and step.shown):
            step.call, step.next, step.shown = call, 0, False
        if delta.sequence < step.next:
            return None
        missing, step.next = delta.sequence - step.next, delta.sequence + 1
        step.shown = step.shown or delta.kind is DeltaKind.TOKEN
        return Shown(erases, missing)
