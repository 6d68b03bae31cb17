"""One task as a function of its journal: records in, steps out. No I/O, no clock of its own (protocol rules 17 to 21).

The agent worker, the replay command and the simulation drive this same class.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aiosv3.agents.agent import Agent
from aiosv3.agents.context import Context
from aiosv3.agents.errors import BudgetExceeded, OutsideStep, StepError, StepTimeout
from aiosv3.agents.steps import CallStep, Step, TimerStep, reply_token, request_hash
from aiosv3.agents.taskloop import STEPS_LIMIT, TaskLoop
from aiosv3.schemas.headers import AUTO, Clearance, Complexity, Grant, Reply
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome, StepFailure, Usage
from aiosv3.streams.eventloop import Livelock

DEADLINE_STEP: Final = "deadline"
"""Step id of the timer record that ends a task at its deadline."""
_EXITS_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a task wants its model calls routed, unless its agent says otherwise for one of them."""

    complexity: Complexity = AUTO
    latency_ms: int | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """A task as admitted. ``offset`` is its input offset, ``timestamp`` its broker time (ms)."""

    id: str
    key: str | None
    offset: int
    timestamp: int
    grant: Grant
    reply: Reply | None
    traceparent: bytes
    value: Any
    request_hash: str = ""
    wishes: Wishes = Wishes()


class JournalEntry(NamedTuple):
    """A journal record with its place and broker time (ms)."""

    offset: int
    timestamp: int
    record: JournalRecord


@dataclass(frozen=True, slots=True)
class Finish:
    """How a task ended. ``journal_offset``: the record that finished it, -1 if it needed none."""

    outcome: Outcome
    journal_offset: int
    timestamp: int
    value: Any = None
    failure: StepFailure | None = None


class Parked(BaseException):
    """The coroutine is being dropped (moved, evicted, finished): nothing that it still asks for is sent."""


@dataclass(slots=True)
class _Pending:
    step: Step
    future: asyncio.Future[Any] | None
    decode: Callable[[JournalEntry], Any]


class TaskRun:
    """A live task. :meth:`start`, then :meth:`feed` each journal record in offset order; :meth:`take` the new steps.

    ``finish`` is set when the task ended; ``stuck`` names a divergence: its code asks for something else than what
    the journal answers (rule 20). A stuck run takes no further records and sends nothing.
    """

    def __init__(self, agent: Agent[Any, Any], task: Task, secret: bytes) -> None:
        self.agent = agent
        self.task = task
        self.finish: Finish | None = None
        self.stuck: str | None = None
        self.code_version: str | None = None
        self.usage = Usage()
        self.forged = 0
        self.clearance: Clearance = max(task.grant.clearance, agent.clearance)
        limit = task.grant.usd_micros
        self.budget = agent.limits.usd_micros if limit is None else min(limit, agent.limits.usd_micros)
        self._secret = secret
        self._now = task.timestamp
        self._at = -1
        self._counter = 0
        self._model_calls = 0
        self._issued: set[str] = set()
        self._pending: dict[str, _Pending] = {}
        self._new: list[Step] = []
        self._timers: dict[int, str] = {}
        self._loop: TaskLoop | None = None
        self._main: asyncio.Task[Any] | None = None
        self._sealed = False

    # -- driving --------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Broker time (ms) of the last record that the task has seen."""
        return self._now

    @property
    def waiting(self) -> dict[str, Step]:
        """Steps without an answer, by id."""
        return {step_id: pending.step for step_id, pending in self._pending.items()}

    def start(self) -> None:
        """Runs the coroutine until it waits for a step, or ends."""
        loop = self._loop = TaskLoop(lambda: self._now / 1000, self._timer_set, self._timer_dropped)
        self._main = loop.create_task(self.agent(Context(self), self.task.value))
        self._run()

    def feed(self, entry: JournalEntry) -> None:
        """Applies one record and runs until idle. Records of finished, stuck or not started tasks change nothing."""
        if self.stuck is not None:
            return
        if self.finish is not None:
            self._pending.pop(entry.record.step_id or "", None)  # a send that is journaled is not sent again (rule 21)
            return
        kind = entry.record.kind
        if kind is JournalKind.CANCEL:
            self._end(
                entry,
                Outcome.CANCELLED,
                StepFailure("Cancelled", "cancelled before it was finished", retryable=False),
            )
        elif kind is JournalKind.STARTED:
            self.code_version = self.code_version or entry.record.code_version
        elif kind is JournalKind.TIMER and entry.record.step_id == DEADLINE_STEP:
            text = f"not finished {self.agent.limits.deadline} after it was admitted, or at its expiry time"
            self._end(entry, Outcome.FAILED, StepTimeout(text, step=DEADLINE_STEP).failure())
        elif kind is not JournalKind.CARRY and entry.record.step_id is not None:
            self._answer(entry, entry.record.step_id)

    def _answer(self, entry: JournalEntry, step_id: str) -> None:
        record = entry.record
        if record.kind is JournalKind.ANSWER and record.token != self._token(step_id, record.request_hash or ""):
            self.forged += 1
            return
        pending = self._pending.get(step_id)
        if pending is None:
            if step_id not in self._issued:
                self._diverge(f"the journal answers step {step_id}, which this code has not asked for")
            return
        if record.request_hash is not None and record.request_hash != pending.step.hash:
            self._diverge(f"step {step_id} asks for something else than it did when the journal was written")
            return
        del self._pending[step_id]
        self._now, self._at = max(self._now, entry.timestamp), entry.offset
        self._spend(record.usage)
        self._settle(pending, entry)
        self._run()

    def _settle(self, pending: _Pending, entry: JournalEntry) -> None:
        future = pending.future
        if future is None:
            pending.decode(entry)
            return
        if future.done():
            return
        try:
            future.set_result(pending.decode(entry))
        except StepError as error:
            future.set_exception(error)

    def _spend(self, used: Usage | None) -> None:
        if used is None:
            return
        total = self.usage
        self.usage = Usage(
            model_calls=total.model_calls + used.model_calls,
            input_tokens=total.input_tokens + used.input_tokens,
            output_tokens=total.output_tokens + used.output_tokens,
            cached_tokens=total.cached_tokens + used.cached_tokens,
            cost_usd_micros=total.cost_usd_micros + used.cost_usd_micros,
        )

    def _run(self) -> None:
        loop, main = self._loop, self._main
        if loop is None or main is None:
            return
        try:
            _to_quiescence(loop)
        except Livelock as error:
            self._close(Outcome.FAILED, StepFailure("Livelock", str(error), retryable=False))
            return
        if main.done():
            self._close(*_ending(main))
        elif not self._pending:
            text = "the agent waits for something that no step will bring: nothing is asked and no timer is set"
            self._close(Outcome.FAILED, StepFailure("Deadlock", text, retryable=False))

    def _end(self, entry: JournalEntry, outcome: Outcome, failure: StepFailure) -> None:
        """Ended by a record: the coroutine is cancelled; what its cleanup asks for is not sent."""
        self._now, self._at = max(self._now, entry.timestamp), entry.offset
        self._sealed = True
        if self._main is not None and self._loop is not None:
            self._main.cancel()
            with suppress(Livelock):
                _to_quiescence(self._loop)
        self._close(outcome, failure)

    def _close(self, outcome: Outcome, failure: StepFailure | None, value: Any = None) -> None:
        self.finish = Finish(outcome, self._at, self._now, value, failure)
        self._new = [step for step in self._new if isinstance(step, CallStep) and not step.wait and not self._sealed]
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
        """Drops the coroutine; its ``finally`` blocks run, and what they ask for is not sent."""
        self._drop()

    def take(self) -> list[Step]:
        """The steps called since the last time that are still unanswered, in call order."""
        new, self._new = self._new, []
        return [step for step in new if step.id in self._pending]

    # -- for the context ------------------------------------------------------------------------------------------

    def token(self, step: Step) -> str:
        """What the answer to ``step`` must echo."""
        return self._token(step.id, step.hash)

    def _token(self, step_id: str, hashed: str) -> str:
        return reply_token(self._secret, self.task.id, step_id, hashed)

    def next_id(self, name: str | None) -> str:
        """The id of the step that is being called; ``name`` pins it against edits (rule 19)."""
        if self._sealed:
            raise Parked
        self._running_loop()  # a call from elsewhere must not take an id: a replay would not repeat it
        if name is not None:
            step_id = f"={name}"
            if "~" in name:
                raise ValueError(f"a step cannot be named {name!r}: '~' marks attempts")
            if step_id in self._issued:
                raise ValueError(f"two steps of this task are named {name!r}: a name pins one step")
        else:
            self._counter += 1
            step_id = str(self._counter)
        self._issued.add(step_id)
        return step_id

    def issue(self, step: Step, decode: Callable[[JournalEntry], Any]) -> asyncio.Future[Any]:
        """Registers a step; its future ends when the journal answers."""
        loop = self._running_loop()
        future = loop.create_future()
        future.add_done_callback(_retrieve)
        self._pending[step.id] = _Pending(step, future, decode)
        self._new.append(step)
        return future

    def refuse(self, error: StepError) -> asyncio.Future[Any]:
        """A step that fails where it stands, in replay as in life: nothing is sent or journaled."""
        future = self._running_loop().create_future()
        future.add_done_callback(_retrieve)
        future.set_exception(error)
        return future

    def _running_loop(self) -> TaskLoop:
        loop = self._loop
        if loop is None:
            raise Parked
        if asyncio._get_running_loop() is not loop:  # noqa: SLF001 -- None in a thread, where the other one raises
            raise OutsideStep("steps can only be called from inside their own task, not from ctx.run or another thread")
        return loop

    def count_model_call(self) -> StepError | None:
        """Counts a model call against the limits of the tree; the error if one is reached."""
        limits = self.agent.limits
        self._model_calls += 1
        if self._model_calls > limits.model_calls:
            return BudgetExceeded(f"this task already made its {limits.model_calls} model calls")
        if self.usage.cost_usd_micros >= self.budget:
            spent, cap = self.usage.cost_usd_micros / 1e6, self.budget / 1e6
            return BudgetExceeded(f"this task has spent {spent:.6f} of its {cap:.6f} US dollars")
        return None

    # -- timers ---------------------------------------------------------------------------------------------------

    def _timer_set(self, timer: asyncio.TimerHandle) -> None:
        step_id = self.next_id(None)
        due = round(timer.when() * 1000)
        step = TimerStep(id=step_id, hash=request_hash("timer"), first_sent=self._now, due=due)
        self._timers[id(timer)] = step_id
        self._pending[step_id] = _Pending(step, None, lambda _entry: self._fire(timer))
        self._new.append(step)

    def _fire(self, timer: asyncio.TimerHandle) -> None:
        self._timers.pop(id(timer), None)
        if self._loop is not None:
            self._loop.fire(timer)

    def _timer_dropped(self, timer: asyncio.TimerHandle) -> None:
        step_id = self._timers.pop(id(timer), None)
        if step_id is not None:
            self._pending.pop(step_id, None)


def _to_quiescence(loop: TaskLoop) -> None:
    """Runs until idle. A branch that exits holds SystemExit as its exception: the agent fails, the worker goes on."""
    for _ in range(_EXITS_LIMIT):
        try:
            loop.run_until_idle(STEPS_LIMIT)
            return
        except SystemExit:
            continue
    raise Livelock("the branches of the agent exit again and again")


def _retrieve(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _ending(main: asyncio.Task[Any]) -> tuple[Outcome, StepFailure | None, Any]:
    if main.cancelled():
        return (
            Outcome.FAILED,
            StepFailure("CancelledError", "the agent cancelled itself", retryable=False),
            None,
        )
    error = main.exception()
    if error is None:
        return Outcome.OK, None, main.result()
    if isinstance(error, StepError):
        return Outcome.FAILED, error.failure(), None
    failure = StepFailure(type(error).__name__, str(error) or type(error).__name__, retryable=False)
    return Outcome.FAILED, failure, None
