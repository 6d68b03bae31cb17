"""Sends the steps of live tasks and journals what is made in the worker (protocol rules 16, 18, 20 and 21)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from aiosv3.agents.local import execute
from aiosv3.agents.messages import Messages
from aiosv3.agents.steps import CallStep, LocalStep, ModelStep, Step, TimerStep
from aiosv3.agents.task import DEADLINE_STEP, JournalEntry, Task, TaskRun
from aiosv3.schemas.records import JournalKind, StepFailure
from aiosv3.streams.errors import AppendFailed, AppendUnknown, RecordTooLarge
from aiosv3.streams.log import Appended, Outgoing, Record
from aiosv3.streams.ownlog import provenance
from aiosv3.streams.tenure import Wiring

_RETRY_S: Final = 0.5


@dataclass(slots=True)
class LiveTask:
    """An open task in this worker: queued behind its key, or running.

    ``first_journal`` holds the journal base back. ``unsent``: steps called and not sent yet. ``sending``: records on
    their way that must be acknowledged before the result may be appended.
    """

    record: Record
    task: Task
    run: TaskRun
    first_journal: int
    entries: list[JournalEntry] = field(default_factory=list)
    begun: bool = False
    announcing: bool = False
    announced: bool = False
    unsent: list[Step] = field(default_factory=list)
    sending: int = 0
    ending: bool = False
    timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)

    def disarm(self, keep: Set[str] = frozenset()) -> None:
        """Cancels its timers, but for those of the steps to ``keep``."""
        for step_id in self.timers.keys() - keep:
            self.timers.pop(step_id).cancel()


class StepSender:
    """``settled(live)`` is called whenever one record less of a task is on its way. :meth:`stop` ends all sending."""

    def __init__(self, wiring: Wiring, messages: Messages, settled: Callable[[LiveTask], None]) -> None:
        self._wiring = wiring
        self.messages = messages
        self._settled = settled
        self._stopped = False
        self._local: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """True while functions of ``ctx.run`` are executing."""
        return bool(self._local)

    def stop(self) -> None:
        """Cancels running functions; later acknowledgements and timers are ignored."""
        self._stopped = True
        for task in self._local:
            task.cancel()

    def announce(self, live: LiveTask) -> None:
        """``started`` goes to the journal ahead of the first step (rule 20)."""
        expiry = live.task.grant.exp
        if expiry is not None and DEADLINE_STEP not in live.timers:
            self._arm(live, DEADLINE_STEP, expiry, None)
        if live.announced:
            self._send(live)
        if live.announced or live.announcing:
            return
        live.announcing = True
        live.sending += 1
        source = provenance(live.record)
        record = self.messages.journal(live.task, self.messages.started(live.task), source)
        self.append(record, partial(self._started, live))

    def _started(self, live: LiveTask, _ack: Appended | AppendFailed) -> None:
        live.sending -= 1
        live.announced = True
        self._send(live)

    def _send(self, live: LiveTask) -> None:
        if self._stopped or live.run.stuck is not None:
            return
        if not self._wiring.member.alive():
            asyncio.get_running_loop().call_later(_RETRY_S, self._send, live)
            return
        steps, live.unsent = live.unsent, []
        for step in steps:
            self._dispatch(live, step)
        if live.run.finish is not None and not live.unsent:
            self._settled(live)

    def _dispatch(self, live: LiveTask, step: Step) -> None:
        source = provenance(live.record)
        if isinstance(step, ModelStep):
            self._request(live, step, self.messages.model_request(live.run, step, source))
        elif isinstance(step, CallStep):
            self._request(live, step, self.messages.child_task(live.run, step, source))
        elif isinstance(step, TimerStep):
            self._arm(live, step.id, step.due, step)
        elif isinstance(step, LocalStep):
            task = asyncio.get_running_loop().create_task(self._execute(live, step))
            self._local.add(task)
            task.add_done_callback(self._local.discard)

    def _request(self, live: LiveTask, step: Step, record: Outgoing) -> None:
        live.sending += 1
        self.append(record, partial(self._sent, live, step))

    def _sent(self, live: LiveTask, step: Step, ack: Appended | AppendFailed) -> None:
        live.sending -= 1
        if isinstance(ack, AppendFailed):
            failure = StepFailure("RecordRejected", str(ack), retryable=False, step=step.id)
            self._note(live, step, JournalKind.VALUE, None, failure)
        elif isinstance(step, CallStep) and not step.wait:
            self._note(live, step, JournalKind.VALUE, "null")
        self._settled(live)

    def append(self, record: Outgoing, then: Callable[[Appended | AppendFailed], None]) -> None:
        """Appends until the outcome is known: a second copy changes nothing, the first record of an id wins."""

        def done(ack: Appended | AppendFailed) -> None:
            if self._stopped:
                return
            if isinstance(ack, AppendUnknown):
                self._wiring.log.append(record, done)
            else:
                then(ack)

        self._wiring.log.append(record, done)

    def _note(
        self,
        live: LiveTask,
        step: Step,
        kind: JournalKind,
        content: str | None,
        error: StepFailure | None = None,
    ) -> None:
        """Journals what was made here; it is used when it is read back (rule 18). Stuck tasks say nothing (rule 20)."""
        if live.run.stuck is not None:
            return
        source = provenance(live.record)
        record = self.messages.journal(live.task, self.messages.local(live.task, step, kind, content, error), source)
        live.sending += 1

        def noted(ack: Appended | AppendFailed) -> None:
            live.sending -= 1
            if isinstance(ack, RecordTooLarge):
                failure = StepFailure("RecordRejected", f"the value is too large: {ack}", retryable=False, step=step.id)
                self._note(live, step, kind, None, failure)
            self._settled(live)

        self.append(record, noted)

    async def _execute(self, live: LiveTask, step: LocalStep) -> None:
        content, failure = await execute(step)
        if not self._stopped:
            self._note(live, step, JournalKind.VALUE, content, failure)

    def _arm(self, live: LiveTask, step_id: str, due: int, step: TimerStep | None) -> None:
        delay = max(0, due - self._wiring.clock()) / 1000
        handle = asyncio.get_running_loop().call_later(delay, self._fire, live, step_id, step)
        live.timers[step_id] = handle

    def _fire(self, live: LiveTask, step_id: str, step: TimerStep | None) -> None:
        live.timers.pop(step_id, None)
        if self._stopped or live.run.finish is not None or live.ending:
            return
        if step is None:
            step = TimerStep(id=DEADLINE_STEP, hash="", first_sent=0, due=0)
        elif step_id not in live.run.waiting:
            return
        self._note(live, step, JournalKind.TIMER, None)
