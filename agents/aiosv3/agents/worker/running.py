"""Drives live tasks: a coroutine is started, fed in journal order, and what it asks for is sent (rules 16 to 18)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from aiosv3.agents.controls import rebuilds
from aiosv3.agents.facts import DEADLINE_STEP, Finish, JournalEntry
from aiosv3.agents.worker.building import Building
from aiosv3.agents.worker.live import LiveTask
from aiosv3.agents.worker.sending import StepSender
from aiosv3.schemas.records import JournalKind, Outcome, StepFailure

_LOG: Final = logging.getLogger(__name__)
_CURE: Final = (
    "It sends nothing and waits for code that fits: the old one, or the new one with ctx.patched around the change. "
    "Or: aiosv3 task migrate|fail|retry and this handle"
)


class Running:
    """``conclude(live, finish)`` is called when a task has ended and all that it sent is acknowledged. Clock in ms.

    ``show(live)`` shows what its code has told since its newest record; what it told before is dropped.
    """

    def __init__(
        self,
        sender: StepSender,
        building: Building,
        clock: Callable[[], int],
        conclude: Callable[[LiveTask, Finish], None],
        show: Callable[[LiveTask], None],
    ) -> None:
        self._sender = sender
        self._building = building
        self._clock = clock
        self._conclude = conclude
        self._show = show
        self.stuck: dict[str, str] = {}
        """Task id -> in which step its journal and the code differ (rule 20). They send nothing, the others go on."""

    def begin(self, live: LiveTask) -> None:
        """Starts the coroutine and feeds what the journal already holds, then sends what is unanswered (rule 16)."""
        live.begun = True
        entries, live.entries = live.entries, []
        kinds = {entry.record.kind for entry in entries}
        cancelled_early = JournalKind.CANCEL in kinds and JournalKind.STARTED not in kinds
        expired = live.task.grant.exp is not None and not entries and live.task.grant.exp <= self._clock()
        if expired:
            failure = StepFailure("StepTimeout", "past its deadline before it could be started", retryable=False)
            self._conclude(live, Finish(Outcome.FAILED, -1, live.task.timestamp, None, failure))
            return
        if entries:
            live.run.recall(entries)
        if not cancelled_early:
            live.run.start()
        for entry in entries:
            live.announced = live.announced or entry.record.kind is JournalKind.STARTED
            live.run.progress.take()
            live.run.feed(entry)
        self._after(live)

    def rebuild(self, live: LiveTask) -> None:
        """Runs the task again from its journal, on the code that is here now; what is then unanswered is sent."""
        if live.ending or not live.begun:
            return
        live.drop_functions(frozenset())
        live.close()
        live.run = self._building.run(live.task)
        live.unsent.clear()
        live.entries = self._building.entries(live)
        self.begin(live)

    def resume(self, live: LiveTask, new: Sequence[JournalEntry]) -> None:
        """Runs ``live.entries`` again, after which all that it waits for was asked for already; then feeds ``new``."""
        if any(map(rebuilds, new)):
            live.entries += new
            self.begin(live)
            return
        live.begun = live.announced = True
        entries, live.entries = live.entries, []
        live.run.recall([*entries, *new])
        live.run.start()
        for entry in entries:
            live.run.feed(entry)
        self._sender.rearm(live, live.run.take())
        live.run.progress.take()
        for entry in new:
            live.run.progress.take()
            live.run.feed(entry)
        self._drop_unneeded(live)
        self._after(live)

    def feed(self, live: LiveTask, entry: JournalEntry) -> None:
        """One record of a task that has begun."""
        if rebuilds(entry):
            self.rebuild(live)
            return
        live.announced = live.announced or entry.record.kind is JournalKind.STARTED
        live.run.feed(entry)
        self._drop_unneeded(live)
        self._after(live)

    def conclude_when_sent(self, live: LiveTask) -> None:
        """One record less of it is on its way."""
        finish = live.run.finish
        if live.sending or live.unsent or live.ending or finish is None:
            return
        if live.run.sealed and finish.outcome is Outcome.OK:
            self._sender.store(live)  # the result, and the state in it, may refer to it
        else:
            self._conclude(live, finish)

    def _drop_unneeded(self, live: LiveTask) -> None:
        run = live.run
        keep = run.waiting.keys() | ({DEADLINE_STEP} if not run.ending else set())
        live.disarm(keep)
        live.drop_functions(keep)

    def _after(self, live: LiveTask) -> None:
        run, name = live.run, live.task.id
        if run.stuck is not None:
            if self.stuck.get(name) != run.stuck:
                handle = f"{run.agent.name}:{live.record.partition}:{name}"
                _LOG.error("task %s is stuck: %s. %s", handle, run.stuck, _CURE)
            self.stuck[name] = run.stuck
            return
        self.stuck.pop(name, None)
        if run.progress.wanted:
            self._show(live)
        live.unsent = [step for step in (*live.unsent, *run.take()) if run.wants(step)]
        if live.unsent:
            self._sender.announce(live)
        elif run.finish is not None:
            self.conclude_when_sent(live)
