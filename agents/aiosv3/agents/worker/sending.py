"""Sends the steps of live tasks and journals what is made in the worker (protocol rules 16, 18, 20 and 21)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final

from aiosv3.agents.facts import DEADLINE_STEP
from aiosv3.agents.steps import (
    CallStep,
    CancelStep,
    LocalStep,
    MemoryStep,
    ModelStep,
    PatchStep,
    PersonStep,
    Step,
    TimerStep,
    ToolStep,
)
from aiosv3.agents.worker.blocks import Blocks
from aiosv3.agents.worker.judging import verdict_on
from aiosv3.agents.worker.live import LiveTask
from aiosv3.agents.worker.local import execute
from aiosv3.agents.worker.messages import Messages
from aiosv3.agents.worker.roots import sent_content
from aiosv3.agents.worker.setup import AgentSetup
from aiosv3.prompts.scan import Verdict
from aiosv3.schemas.records import JournalKind, StepFailure
from aiosv3.streams.errors import AppendFailed, AppendUnknown, RecordTooLarge
from aiosv3.streams.log import Appended, Outgoing
from aiosv3.streams.ownlog import provenance
from aiosv3.streams.tenure import Wiring

_RETRY_S: Final = 0.5
_LOG: Final = logging.getLogger(__name__)


class StepSender:
    """``settled(live)`` is called whenever one record less of a task is on its way. :meth:`stop` ends all sending.

    ``journaled(record, ack)`` hears of each acknowledged record for a journal of this agent, after its sender.
    """

    def __init__(
        self,
        wiring: Wiring,
        messages: Messages,
        settled: Callable[[LiveTask], None],
        setup: AgentSetup,
        journaled: Callable[[Outgoing, Appended], None],
    ) -> None:
        self._wiring = wiring
        self.messages = messages
        self._settled = settled
        self._journaled = journaled
        self._second_look = setup.second_look
        self._stopped = False
        self._blocks = Blocks(setup.claims, self._send)
        self._local: set[asyncio.Task[None]] = set()
        self._looking: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """True while functions of ``ctx.run`` are executing."""
        return bool(self._local)

    def stop(self) -> None:
        """Cancels running functions; later acknowledgements and timers are ignored."""
        self._stopped = True
        self._blocks.stop()
        for task in (*self._local, *self._looking):
            task.cancel()

    def announce(self, live: LiveTask) -> None:
        """``started`` goes to the journal ahead of the first step (rule 20), which waits until it is read there.

        Its acknowledgement alone says nothing of what stands before it: a cancel, or the marker of another owner, who
        would then never know of the children that were sent here (rules 18 and 25).
        """
        expiry = live.task.grant.exp
        if expiry is not None and DEADLINE_STEP not in live.timers and not live.run.ending:
            self._arm(live, DEADLINE_STEP, expiry, None)
        if live.announced:
            self._send(live)
        if live.announced or live.announcing:
            return
        live.announcing = True
        live.sending += 1
        self._start(live)

    def _start(self, live: LiveTask) -> None:
        if not self._stopped:
            started = self.messages.started(live.task)
            record = self.messages.journal(live.task, started, provenance(live.record))
            self.append(record, partial(self._started, live))

    def store(self, live: LiveTask) -> None:
        """Stores what the task has sealed, which its result may refer to; then it is ``settled`` again."""
        self._blocks.store(live)

    def rearm(self, live: LiveTask, steps: Iterable[Step]) -> None:
        """``steps`` were sent already, by whoever parked the task: only their timers, and its deadline, are set."""
        for step in steps:
            if step.due is not None:
                self._arm(live, step.id, step.due, step)
        expiry = live.task.grant.exp
        if expiry is not None and not live.run.ending:
            self._arm(live, DEADLINE_STEP, expiry, None)

    def _started(self, live: LiveTask, ack: Appended | AppendFailed) -> None:
        if isinstance(ack, AppendFailed):
            _LOG.warning("task %s is not started yet: %s", live.task.id, ack)
            asyncio.get_running_loop().call_later(_RETRY_S, self._start, live)
            return
        live.sending -= 1
        self._settled(live)

    def _send(self, live: LiveTask) -> None:
        if self._stopped or live.run.stuck is not None or live.marking:
            return
        if not self._wiring.member.alive():
            asyncio.get_running_loop().call_later(_RETRY_S, self._send, live)
            return
        if live.run.sealed:
            self._blocks.store(live)
            return
        steps, live.unsent = live.unsent, []
        for index, step in enumerate(steps):
            if not live.run.wants(step):
                continue
            if isinstance(step, PatchStep):
                live.unsent = steps[index + 1 :]
                self._mark(live, step)
                return
            self._dispatch(live, step)
        if live.run.finish is not None and not live.unsent:
            self._settled(live)

    def _mark(self, live: LiveTask, step: PatchStep) -> None:
        """What the change leads to waits for the acknowledgement: no owner may come to another opinion after it."""
        live.marking = True
        live.sending += 1
        note = self.messages.local(live.run, step, JournalKind.VALUE, "true")

        def marked(_ack: Appended | AppendFailed) -> None:
            live.sending -= 1
            live.marking = False
            self._send(live)

        self.append(self.messages.journal(live.task, note, provenance(live.record)), marked)

    def _dispatch(self, live: LiveTask, step: Step) -> None:
        source = provenance(live.record)
        if isinstance(step, ModelStep):
            self._ask(live, step, source)
        elif isinstance(step, CallStep):
            self._request(live, step, self.messages.child_task(live.run, step, source))
        elif isinstance(step, ToolStep):
            self._use(live, step, source)
        elif isinstance(step, MemoryStep):
            self._request(live, step, self.messages.memory_request(live.run, step, source))
        elif isinstance(step, PersonStep):
            self._request(live, step, self.messages.question(live.run, step, source))
        elif isinstance(step, CancelStep):
            self._tell(live, self.messages.cancel(live.run, step, source))
        elif isinstance(step, LocalStep):
            task = asyncio.get_running_loop().create_task(self._execute(live, step))
            live.functions[step.id] = task
            self._local.add(task)
            task.add_done_callback(self._local.discard)
        if step.due is not None:
            self._arm(live, step.id, step.due, step)

    def _ask(self, live: LiveTask, step: ModelStep, source: bytes) -> None:
        verdict = verdict_on(step, live.run.clearance, self._second_look)
        if isinstance(verdict, Verdict):
            self._request(live, step, self.messages.model_request(live.run, step, source, verdict))
            return
        live.sending += 1
        looking = asyncio.get_running_loop().create_task(self._ask_later(live, step, source, verdict))
        self._looking.add(looking)
        looking.add_done_callback(self._looking.discard)

    async def _ask_later(self, live: LiveTask, step: ModelStep, source: bytes, verdict: Awaitable[Verdict]) -> None:
        found = await verdict
        while not self._wiring.member.alive():
            await asyncio.sleep(_RETRY_S)
        live.sending -= 1
        if self._stopped:
            return
        if live.run.stuck is None and live.run.wants(step):
            self._request(live, step, self.messages.model_request(live.run, step, source, found))
        else:
            self._settled(live)

    def _use(self, live: LiveTask, step: ToolStep, source: bytes) -> None:
        """What a zone may not see is not sent there. The refusal is journaled: settings may be others tomorrow."""
        refusal = self.messages.tool_refusal(live.run, step)
        if refusal is None:
            self._request(live, step, self.messages.tool_request(live.run, step, source))
        else:
            self._note(live, step, JournalKind.VALUE, None, refusal)

    def _request(self, live: LiveTask, step: Step, record: Outgoing) -> None:
        live.sending += 1
        self.append(record, partial(self._sent, live, step))

    def _sent(self, live: LiveTask, step: Step, ack: Appended | AppendFailed) -> None:
        live.sending -= 1
        if isinstance(ack, AppendFailed):
            failure = StepFailure("RecordRejected", str(ack), retryable=False, step=step.id)
            self._note(live, step, JournalKind.VALUE, None, failure)
        elif isinstance(step, CallStep) and not step.wait:
            self._note(live, step, JournalKind.VALUE, sent_content(step, ack))
        self._settled(live)

    def _tell(self, live: LiveTask, cancel: Outgoing) -> None:
        """A cancel for a child or for the router: the task's own result waits for its acknowledgement (rule 25)."""
        live.sending += 1

        def told(ack: Appended | AppendFailed) -> None:
            live.sending -= 1
            if isinstance(ack, AppendFailed):
                _LOG.warning("task %s: its cancel is not on %s: %s", live.task.id, cancel.topic, ack)
            self._settled(live)

        self.append(cancel, told)

    def append(self, record: Outgoing, then: Callable[[Appended | AppendFailed], None]) -> None:
        """Appends until the outcome is known: a second copy changes nothing, the first record of an id wins."""
        self._wiring.log.append(record, partial(self._appended, record, then))

    def _appended(
        self, record: Outgoing, then: Callable[[Appended | AppendFailed], None], ack: Appended | AppendFailed
    ) -> None:
        if self._stopped:
            return
        if isinstance(ack, AppendUnknown):
            self.append(record, then)
            return
        then(ack)
        if record.topic == self._wiring.journal_topic and isinstance(ack, Appended):
            self._journaled(record, ack)

    def _note(
        self,
        live: LiveTask,
        step: Step,
        kind: JournalKind,
        content: str | None,
        error: StepFailure | None = None,
    ) -> None:
        """Journals what was made here; it is used when read there (rule 18). Stuck tasks say nothing (rule 20)."""
        if live.run.stuck is not None:
            return
        source = provenance(live.record)
        record = self.messages.journal(live.task, self.messages.local(live.run, step, kind, content, error), source)
        live.sending += 1

        def noted(ack: Appended | AppendFailed) -> None:
            live.sending -= 1
            if isinstance(ack, RecordTooLarge):
                failure = StepFailure("RecordRejected", f"the value is too large: {ack}", retryable=False, step=step.id)
                self._note(live, step, kind, None, failure)
            self._settled(live)

        self.append(record, noted)

    async def _execute(self, live: LiveTask, step: LocalStep) -> None:
        content, failure = await execute(step, self._wiring.member.alive)
        live.functions.pop(step.id, None)
        if not self._stopped:
            self._note(live, step, JournalKind.VALUE, content, failure)

    def _arm(self, live: LiveTask, step_id: str, due: int, step: Step | None) -> None:
        delay = max(0, due - self._wiring.clock()) / 1000
        handle = asyncio.get_running_loop().call_later(delay, self._fire, live, step_id, step)
        live.timers[step_id] = handle

    def _fire(self, live: LiveTask, step_id: str, step: Step | None) -> None:
        live.timers.pop(step_id, None)
        if self._stopped or live.run.finish is not None or live.ending:
            return
        if step is None:
            step = TimerStep(id=DEADLINE_STEP, hash="", first_sent=0, due=0)
        elif step_id not in live.run.waiting:
            return
        self._note(live, step, JournalKind.TIMER, None)
