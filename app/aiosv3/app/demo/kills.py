"""Which processes are killed, and when: after so many results, never after a time."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aiosv3.app.demo.stack import NAIVE_LOOP, Process

_APART: Final = 2
"""Results between two kills, however fast they come: each kill meets a run that had gone on after the last one."""

# Where in the run, as a share of the results: the agent worker early, the router in the middle of the stream, the
# model worker when most easy cases are through and the hard ones wait for it.
_WHEN: Final = (("agent worker", 0.15, 0.30), ("router", 0.40, 0.55), ("model worker", 0.75, 0.88))


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: a process of ``kind`` as soon as ``after`` results are seen.

    The rest is filled in when it happened: the process, the results seen by then, and as what it came back.
    """

    kind: str
    after: int
    name: str = ""
    pid: int | None = None
    seen: int = 0
    back: int | None = None

    @property
    def done(self) -> bool:
        """Whether it happened."""
        return self.pid is not None


def plan(seed: int, tasks: int) -> list[Kill]:
    """The kills of a run, in order; the same for the same seed and number of tasks."""
    dice = random.Random(seed)
    return [Kill(kind, max(1, round(dice.uniform(low, high) * tasks))) for kind, low, high in _WHEN]


def for_naive(kills: Sequence[Kill]) -> list[Kill]:
    """The same moments for the twin, which has one kind of process."""
    return [replace(kill, kind=NAIVE_LOOP) for kill in kills]


class Killer:
    """Carries out a plan, and what is asked for by hand. ``processes``: what runs now; ``told`` hears of each kill."""

    def __init__(
        self,
        kills: list[Kill],
        processes: Callable[[], tuple[Process, ...]],
        told: Callable[[Kill], None],
        *,
        seed: int = 0,
        send: Callable[[int, int], None] = os.kill,
    ) -> None:
        self.kills = list(kills)
        self.by_hand: list[Kill] = []
        self._processes = processes
        self._told = told
        self._dice = random.Random(seed)
        self._send = send

    def due(self, results: int) -> None:
        """Carries out the next kill if it is due; one that finds no such process running is tried again later."""
        place = next((number for number, kill in enumerate(self.kills) if not kill.done), None)
        if place is None:
            return
        kill = self.kills[place]
        earliest = max(kill.after, self.kills[place - 1].seen + _APART if place else 0)
        if results >= earliest and (victim := self._victim(kill.kind)) is not None:
            self.kills[place] = replace(kill, name=victim.name, pid=victim.pid, seen=results)
            self._told(self.kills[place])

    def strike(self, victim: Process, results: int) -> bool:
        """Kills this very process now; False if it is gone already."""
        if not self._kill(victim):
            return False
        self.note(victim, results)
        self._told(self.by_hand[-1])
        return True

    def note(self, victim: Process, results: int) -> None:
        """Keeps in mind that a process which this side needs too was killed by another's hand."""
        self.by_hand.append(Kill(victim.kind or victim.name, results, victim.name, victim.pid, results))

    def look_back(self) -> list[Kill]:
        """The kills, each with the process id under which its victim runs again."""
        running = {one.name: one.pid for one in self._processes() if one.state == "running"}
        return [
            replace(kill, back=_another(running.get(kill.name), kill)) if kill.done else kill
            for kill in (*self.kills, *self.by_hand)
        ]

    def _victim(self, kind: str) -> Process | None:
        able = [one for one in self._processes() if one.kind == kind and one.pid is not None and one.state == "running"]
        if not able:
            return None
        victim = self._dice.choice(able)
        return victim if self._kill(victim) else None

    def _kill(self, victim: Process) -> bool:
        if victim.pid is None:
            return False
        try:
            self._send(victim.pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True


def _another(pid: int | None, kill: Kill) -> int | None:
    """Right after a kill the status may still name the process that is gone."""
    return None if pid == kill.pid else pid
