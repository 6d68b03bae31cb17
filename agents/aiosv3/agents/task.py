"""One task as a function of its journal: records in, steps out. No I/O, no clock of its own (protocol rules 17 to 21).

The agent worker, the replay command and the simulation drive this same class.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, cast

from aiosv3.agents.agent import Agent
from aiosv3.agents.context import Context
from aiosv3.agents.controls import FAIL, MIGRATE, Migrations, control_of, failure_of
from aiosv3.agents.coroutine import ending_of
from aiosv3.agents.errors import AgentDefinitionError, OutsideStep, StepError, StepTimeout
from aiosv3.agents.facts import DEADLINE_STEP, GRACE_STEP, Finish, JournalEntry, Task
from aiosv3.agents.keyed import KeyedState
from aiosv3.agents.mailbox import Mailbox
from aiosv3.agents.patches import Patches
from aiosv3.agents.pending import Pending, drop, retrieve
from aiosv3.agents.progress import Progress
from aiosv3.agents.sealed import Sealing
from aiosv3.agents.spending import Spending
from aiosv3.agents.stepids import StepIds
from aiosv3.agents.steps import CallStep, CancelStep, ReceiveStep, Step, TimerStep, reply_token, request_hash
from aiosv3.agents.taskloop import TaskLoop
from aiosv3.agents.worker.ownership import Ownership
from aiosv3.schemas.errors import WireError
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import JournalKind, Outcome, StepFailure, Usage
from aiosv3.streams.eventloop import Livelock


class Parked(BaseException):
    """The coroutine is being dropped (moved, evicted, finished): nothing that it still asks for is sent."""


class TaskRun:
    """A live task. :meth:`start`, then :meth:`feed` each journal record in offset order; :meth:`take` the new steps.

    ``finish`` is set when the task ended; ``stuck`` names a divergence: its code asks for something else than what
    the journal answers (rule 20). A stuck run takes no further records and sends nothing.
    """

    def __init__(
        self,
        agent: Agent[Any, Any],
        task: Task,
        secret: bytes,
        load: Callable[[], KeyedState] | None = None,
        ownership: Ownership | None = None,
    ) -> None:
        self.agent = agent
        self.task = task
        self.finish: Finish | None = None
        self.stuck: str | None = None
        self.code_version: str | None = None
        self.forged = 0
        self.clearance: Clearance = max(task.grant.clearance, agent.clearance)
        self.spending = Spending(agent.limits, task.grant.usd_micros)
        self.state: KeyedState | None = None if agent.state_type is None else KeyedState(agent.state_type)
        self._load = load
        self.sealed: dict[str, bytes] = {}
        """By claim: what its worker has to store before it sends anything more."""
        self.secret = secret
        self.sealing = Sealing(task, secret)
        self._now = task.timestamp
        self._at = -1
        self._issued = StepIds()
        self._pending: dict[str, Pending] = {}
        self._new: list[Step] = []
        self._timers: dict[int, str] = {}
        self._mailbox = Mailbox()
        self.remembered: dict[int, int] = {}
        """By partition of the memory log: the last event of its own that it knows of; its recalls know that much."""
        self.progress = Progress(wanted=task.wishes.stream is not None)
        self.patches = Patches(agent.patches, ownership or Ownership())
        self._migrations = Migrations()
        self._verdict: tuple[Outcome, StepFailure] | None = None
        self._loop: TaskLoop | None = None
        self._main: asyncio.Task[Any] | None = None
        self._sealed = False

    # -- driving --------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Broker time (ms) of the last record that the task has seen."""
        return self._now

    @property
    def at(self) -> int:
        """Offset of that record, -1 before the first one; for the task's own code. Raises OutsideStep."""
        self._running_loop()
        return self._at

    @property
    def usage(self) -> Usage:
        """What its answered model calls have used so far."""
        return self.spending.usage

    @property
    def keyed(self) -> KeyedState:
        """The state of its key, for its own code. Raises OutsideStep, and AgentDefinitionError where there is none."""
        self._running_loop()  # a change from elsewhere would come at another moment in a replay
        if self.state is None:
            raise AgentDefinitionError(
                f'agent {self.agent.name} keeps no state: write @agent(state=YourModel, order="serial")'
            )
        return self.state

    @property
    def ending(self) -> bool:
        """True once a cancel or the deadline has decided how it ends; its cleanup may still run."""
        return self._verdict is not None

    @property
    def waiting(self) -> dict[str, Step]:
        """Steps without an answer, by id."""
        return {step_id: pending.step for step_id, pending in self._pending.items()}

    def start(self) -> None:
        """Runs the coroutine until it waits for a step, or ends."""
        if self._load is not None:
            try:
                self.state = self._load()
                self.clearance = max(self.clearance, self.state.clearance or self.clearance)
            except WireError as error:
                self._diverge(f"this code cannot read the state of key {self.task.key}: {error}")
                return
        loop = self._loop = TaskLoop(lambda: self._now / 1000, self._timer_set, self._timer_dropped)
        loop.sealed = self.sealed
        loop.as_stored = lambda raw, judged: self.sealing.block(raw, max(self.clearance, judged))
        main = cast("Coroutine[Any, Any, Any]", self.agent.function(Context(self), self.task.value))
        self._main = loop.create_task(main)
        self._run()

    def recall(self, entries: Sequence[JournalEntry]) -> None:
        """Before :meth:`start`: the journal that it will be fed, for what changes of code it takes and what is void."""
        for part in (self.sealing, self.patches, self._migrations):
            part.recall(entries)

    def feed(self, entry: JournalEntry) -> None:
        """Applies one record and runs until idle. Finished tasks ignore it; stuck ones hear cancels and operators."""
        if self._migrations.void(entry):
            self.spending.add(entry.record.usage)  # paid all the same
            return
        if (control := control_of(entry.record)) is not None:
            self._obey(control, entry)
            return
        kind = entry.record.kind
        if self.stuck is not None and kind is not JournalKind.CANCEL:
            return
        if self.finish is not None:
            self._pending.pop(entry.record.step_id or "", None)  # a send that is journaled is not sent again (rule 21)
            return
        if kind is JournalKind.CANCEL:
            self.stuck = None
            failure = StepFailure("Cancelled", "cancelled before it was finished", retryable=False)
            self._end(entry, Outcome.CANCELLED, entry.record.error or failure)
        elif kind is JournalKind.SIGNAL:
            self._message(entry)
        elif kind is JournalKind.STARTED:
            self.code_version = self.code_version or entry.record.code_version
        elif kind is JournalKind.TIMER and entry.record.step_id == DEADLINE_STEP:
            text = f"not finished {self.agent.limits.deadline} after it was admitted, or at its expiry time"
            self._end(entry, Outcome.FAILED, StepTimeout(text, step=DEADLINE_STEP).failure())
        elif kind is not JournalKind.CARRY and entry.record.step_id is not None:
            self._answer(entry, entry.record.step_id)

    def _obey(self, control: str, entry: JournalEntry) -> None:
        if self.finish is not None:
            return
        if control == FAIL:
            self.stuck = None
            self._end(entry, Outcome.FAILED, failure_of(entry.record))
        elif control == MIGRATE and self._migrations.reached(entry) and not (self.stuck or self.ending):
            self._saw(entry)
            self._pending = self._migrations.renew(self._pending, self._now)
            self._timers = {timer: self._migrations.named(step_id) for timer, step_id in self._timers.items()}
            self._new = [one.step for one in self._pending.values()]
            self._issued.reserve(*self._pending)

    def _answer(self, entry: JournalEntry, step_id: str) -> None:
        record = entry.record
        if record.kind is JournalKind.ANSWER and record.token != self._token(step_id, record.request_hash or ""):
            self.forged += 1
            return
        pending = self._pending.get(step_id)
        if pending is None:
            if step_id not in self._issued and not self._migrations.stale(step_id):
                self._diverge(f"the journal answers step {step_id}, which this code has not asked for")
            return
        if (misfit := self.sealing.misfit(record, pending.step)) is not None:
            self._diverge(misfit)
            return
        del self._pending[step_id]
        self._saw(entry)
        self.spending.add(record.usage)
        if record.kind is JournalKind.TIMER and pending.future is not None:
            self._let_go(pending.step)
            pending.expire()
        else:
            pending.settle(entry)
        self._run()

    def _saw(self, entry: JournalEntry) -> None:
        self._now, self._at = max(self._now, entry.timestamp), entry.offset

    def _let_go(self, step: Step) -> None:
        if isinstance(step, CallStep) and step.wait:
            self._new.append(CancelStep(step.id, step.hash, self._now, step))

    def _message(self, entry: JournalEntry) -> None:
        """To the first step that waits for a message of this name, else into the mailbox."""
        if not self._mailbox.fresh(entry.record):
            return
        for pending in self._pending.values():
            step = pending.step
            if isinstance(step, ReceiveStep) and step.message == entry.record.message:
                del self._pending[step.id]
                self._saw(entry)
                pending.settle(entry)
                self._run()
                return
        self._mailbox.keep(entry)

    def _run(self) -> None:
        loop, main = self._loop, self._main
        if loop is None or main is None:
            return
        try:
            loop.run_to_quiescence()
        except Livelock as error:
            self._close(Outcome.FAILED, StepFailure("Livelock", str(error), retryable=False))
            return
        if main.done():
            self._close(*ending_of(main))
        elif not self._pending:
            text = "the agent waits for something that no step will bring: nothing is asked and no timer is set"
            self._close(Outcome.FAILED, StepFailure("Deadlock", text, retryable=False))

    def _end(self, entry: JournalEntry, outcome: Outcome, failure: StepFailure) -> None:
        """Ended by a record, the first such one: the coroutine is cancelled and may clean up within a grace (rule 25).

        Before ``started`` is journaled there is nothing to clean up: what its cleanup asks for is not sent.
        """
        if self._verdict is not None:
            return
        self._saw(entry)
        self._verdict = outcome, failure
        if self._main is None or self._loop is None:
            self._close(outcome, failure)
            return
        self._main.cancel()
        self._abandon()
        if self.code_version is None:
            self._sealed = True
            with suppress(Livelock):
                self._loop.run_to_quiescence()
            self._close(outcome, failure)
            return
        if outcome is Outcome.CANCELLED and self.task.id == self.task.grant.root:
            self._new.append(CancelStep(GRACE_STEP, "", self._now, None))
        self._give_grace()
        self._run()

    def _give_grace(self) -> None:
        due = self._now + int(self.agent.limits.grace.total_seconds() * 1000)
        step = TimerStep(id=GRACE_STEP, hash=request_hash("timer"), first_sent=self._now, due=due)
        self._issued.reserve(GRACE_STEP)
        text = "its cleanup was not over within the grace"
        failure = StepFailure("StepTimeout", text, retryable=False, step=GRACE_STEP)
        self._pending[GRACE_STEP] = Pending(step, None, lambda _entry: self._close(Outcome.FAILED, failure))
        self._new.append(step)

    def _abandon(self) -> None:
        """What is pending gets no answer any more; children that were being waited for are cancelled too."""
        dropped, self._pending = self._pending, {}
        for pending in dropped.values():
            self._let_go(pending.step)
            if pending.future is not None:
                pending.future.cancel()

    def _close(self, outcome: Outcome, failure: StepFailure | None, value: Any = None) -> None:
        """The end; after a cancel or the deadline it is that one's, whatever the cleanup came to."""
        if self._verdict is not None:
            (outcome, failure), value = self._verdict, None
            for pending in list(self._pending.values()):
                self._let_go(pending.step)
                if not pending.step.one_way:
                    del self._pending[pending.step.id]
        self.finish = Finish(outcome, self._at, self._now, value, failure)
        self._new = [step for step in self._new if self.wants(step)]
        self._drop()

    def _diverge(self, reason: str) -> None:
        self.stuck = reason
        self._new = []
        self._drop()

    def _drop(self) -> None:
        self._sealed = True
        self._main = None
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def close(self) -> None:
        """Drops the coroutine for good; its ``finally`` blocks run, and what they ask for is not sent."""
        self._drop()
        drop(self._pending)  # they hold the loop, and that holds this

    def take(self) -> list[Step]:
        """The steps called since the last time that are still unanswered, in call order."""
        new, self._new = self._new, []
        return [step for step in new if self.wants(step)]

    def wants(self, step: Step) -> bool:
        """False for a step that need not be sent any more. One-way sends and cancels go out after the end too."""
        if isinstance(step, CancelStep):
            return True
        return step.id in self._pending and (self.finish is None or step.one_way)

    # -- for the context ------------------------------------------------------------------------------------------

    def token(self, step: Step) -> str:
        """What the answer to ``step`` must echo."""
        return self._token(step.id, step.hash)

    def _token(self, step_id: str, hashed: str) -> str:
        return reply_token(self.secret, self.task.id, step_id, hashed)

    def next_id(self, name: str | None) -> str:
        """The id of the step that is being called; ``name`` pins it against edits (rule 19)."""
        if self._sealed:
            raise Parked
        self._running_loop()  # a call from elsewhere must not take an id: a replay would not repeat it
        step_id = self._migrations.named(self._issued.next(name))
        self._issued.reserve(step_id)
        return step_id

    def issue(self, step: Step, decode: Callable[[JournalEntry], Any]) -> asyncio.Future[Any]:
        """Registers a step; its future ends when the journal answers."""
        future = self._running_loop().create_future()
        future.add_done_callback(retrieve)
        self.sealing.mark(step)
        pending = Pending(step, future, decode)
        if isinstance(step, ReceiveStep):
            if (unread := self._mailbox.take(step.message)) is not None:
                pending.settle(unread)
                return future
            future.add_done_callback(lambda done: self._stopped_waiting(step, done))
        if (over := self.spending.count_open(step, self._pending)) is not None:
            return self.refuse(over)
        self._pending[step.id] = pending
        self._new.append(step)
        return future

    def _stopped_waiting(self, step: ReceiveStep, future: asyncio.Future[Any]) -> None:
        """A receive that was cancelled takes no message."""
        if future.cancelled():
            self._pending.pop(step.id, None)

    def refuse(self, error: StepError) -> asyncio.Future[Any]:
        """A step that fails where it stands, in replay as in life: nothing is sent or journaled."""
        future = self._running_loop().create_future()
        future.add_done_callback(retrieve)
        future.set_exception(error)
        return future

    def _running_loop(self) -> TaskLoop:
        loop = self._loop
        if loop is None:
            raise Parked
        if asyncio._get_running_loop() is not loop:  # noqa: SLF001 -- None in a thread, where the other one raises
            raise OutsideStep("steps can only be called from inside their own task, not from ctx.run or another thread")
        return loop

    # -- timers ---------------------------------------------------------------------------------------------------

    def _timer_set(self, timer: asyncio.TimerHandle) -> None:
        step_id = self.next_id(None)
        hashed, due = request_hash("timer"), round(timer.when() * 1000)
        step = TimerStep(id=step_id, hash=hashed, first_sent=self._now, due=due)
        self._timers[id(timer)] = step_id
        self._pending[step_id] = Pending(step, None, lambda _entry: self._fire(timer))
        self._new.append(step)

    def _fire(self, timer: asyncio.TimerHandle) -> None:
        self._timers.pop(id(timer), None)
        if self._loop is not None:
            self._loop.fire(timer)

    def _timer_dropped(self, timer: asyncio.TimerHandle) -> None:
        step_id = self._timers.pop(id(timer), None)
        if step_id is not None:
            self._pending.pop(step_id, None)
