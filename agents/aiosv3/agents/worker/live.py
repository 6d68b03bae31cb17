"""An open task as its worker holds it while it is awake."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from dataclasses import dataclass, field

from aiosv3.agents.facts import JournalEntry, Task
from aiosv3.agents.steps import LocalStep, Step
from aiosv3.agents.task import TaskRun
from aiosv3.agents.worker.parked import Parked
from aiosv3.schemas.records import CarryEntry
from aiosv3.streams.log import Record


@dataclass(slots=True)
class LiveTask:
    """An open task in this worker: queued behind its key, or running.

    ``first_journal`` holds the journal base back until the task is parked. ``entries``: what came before it began;
    ``journal``: all its journal records, as they stand on the log. ``unsent``: steps called and not sent yet.
    ``sending``: records on their way that must be acknowledged before the result may be appended. ``opened``: seconds
    of the loop's clock. ``own_upto``: own-log position below which it has no result.
    """

    record: Record
    task: Task
    run: TaskRun
    first_journal: int
    entries: list[JournalEntry] = field(default_factory=list)
    journal: list[CarryEntry] = field(default_factory=list)
    begun: bool = False
    announcing: bool = False
    announced: bool = False
    """``started`` was read in the journal: nothing of the task is sent before."""
    marking: bool = False
    """A change of code that it takes is on its way to the journal: nothing else is sent meanwhile."""
    unsent: list[Step] = field(default_factory=list)
    sending: int = 0
    ending: bool = False
    rejected: bool = False
    carrying: bool = False
    parked: Parked | None = None
    opened: float = 0.0
    fed: float = 0.0
    own_upto: int = 0
    timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    functions: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """Functions of ``ctx.run`` that are executing, by step."""

    @property
    def settled(self) -> bool:
        """Open, and nothing of it is on its way: what it waits for is on the log, or is made in this worker."""
        if self.ending or self.rejected or self.run.finish is not None:
            return False
        return self.run.stuck is not None or not (self.sending or self.unsent or self.run.patches.open)

    @property
    def resting(self) -> bool:
        """Only a new journal record can move it."""
        if not (self.begun and self.settled and self.run.stuck is None):
            return False
        return not any(isinstance(step, LocalStep) for step in self.run.waiting.values())

    @property
    def sleepy(self) -> bool:
        """Its coroutine can be dropped until something comes for it; a stuck one is, and one that has not begun."""
        return self.settled and (self.resting or self.run.stuck is not None or not self.begun)

    def came(self, entry: JournalEntry, now: float) -> None:
        """Keeps a journal record of the task, for its carry. ``now``: seconds of the loop's clock."""
        self.fed = now
        self.journal.append(CarryEntry(entry.offset, entry.timestamp, entry.value))

    def disarm(self, keep: Set[str] = frozenset()) -> None:
        """Cancels its timers, but for those of the steps to ``keep``."""
        if self.timers:
            for step_id in self.timers.keys() - keep:
                self.timers.pop(step_id).cancel()

    def drop_functions(self, keep: Set[str]) -> None:
        """Cancels the functions whose value nobody waits for any more, after a cancel or a step's deadline."""
        for step_id in self.functions.keys() - keep:
            self.functions.pop(step_id).cancel()

    def close(self) -> None:
        """Cancels its timers and drops the coroutine; nothing is sent."""
        self.disarm()
        self.run.close()
