"""A task run again from its records alone: nothing is sent, nothing is called (protocol rules 17 and 20)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiosv3.agents.agent import Agent
from aiosv3.agents.facts import DEADLINE_STEP, Finish, JournalEntry, Task
from aiosv3.agents.keyed import KeyedState
from aiosv3.agents.steps import (
    CallStep,
    LocalStep,
    MemoryStep,
    ModelStep,
    PersonStep,
    ReceiveStep,
    Step,
    TimerStep,
    ToolStep,
)
from aiosv3.agents.task import TaskRun
from aiosv3.agents.worker.ownership import Ownership
from aiosv3.schemas.records import JournalKind, Role

_EXCERPT: Final = 200


@dataclass(slots=True)
class ReplayedStep:
    """A step that the code asked for, and the journal record that answered it, if one has.

    ``kind``: model, call, send, run, timer, …; ``asks``: what it asked, shortened, for people.
    """

    step: Step
    kind: str
    asks: str
    answer: JournalEntry | None = None

    @property
    def id(self) -> str:
        """Step id."""
        return self.step.id


@dataclass(slots=True)
class Replayed:
    """Where a task stands after its journal. ``stuck``: why the code does not fit it, None if it does.

    ``waiting``: the steps that have no answer, when it got stuck or ended too. ``forged``: answers with a token that is
    not of this mesh, which are ignored. ``diverged``: the record at which it got stuck.
    """

    task: Task
    steps: list[ReplayedStep] = field(default_factory=list)
    finish: Finish | None = None
    stuck: str | None = None
    code_version: str | None = None
    forged: int = 0
    diverged: JournalEntry | None = None
    waiting: list[ReplayedStep] = field(default_factory=list)

    def words(self) -> str:
        """Where it stands, in a line."""
        if self.stuck is not None:
            return f"stuck: {self.stuck}"
        if self.finish is not None:
            return f"ended {self.finish.outcome}"
        return f"waits for {self.unanswered()}"

    def unanswered(self) -> str:
        """The steps without an answer, in words."""
        return ", ".join(f"step {step.id} ({step.kind}: {step.asks})" for step in self.waiting)


def replay(
    agent: Agent[Any, Any],
    task: Task,
    entries: Iterable[JournalEntry],
    secret: bytes,
    *,
    load: Callable[[], KeyedState] | None = None,
    ownership: Ownership | None = None,
) -> Replayed:
    """Runs ``task`` on the code of ``agent``, fed with its journal entries in offset order.

    ``load``: the state that it begins with. ``ownership``: the markers of its journal partition.
    """
    run = TaskRun(agent, task, secret, load, ownership)
    replayed = Replayed(task)
    steps: dict[str, ReplayedStep] = {}

    def asked() -> None:
        for step in run.take():
            kind, asks = describe(step)
            steps[step.id] = ReplayedStep(step, kind, asks)

    journal = list(entries)
    run.recall(journal)
    kinds = {entry.record.kind for entry in journal}
    if JournalKind.CANCEL not in kinds or JournalKind.STARTED in kinds:
        run.start()
        asked()
    for entry in journal:
        waiting = run.waiting.keys()
        if _ends(entry):
            replayed.waiting = [steps[step_id] for step_id in run.waiting if step_id in steps]
        stuck = run.stuck
        run.feed(entry)
        if stuck is None and run.stuck is not None:
            replayed.diverged = entry
        for step_id in waiting - run.waiting.keys():
            if step_id in steps and _answers(entry, steps[step_id].step):
                steps[step_id].answer = entry
        asked()
    replayed.steps = list(steps.values())
    replayed.finish, replayed.stuck, replayed.code_version = run.finish, run.stuck, run.code_version
    replayed.forged = run.forged
    replayed.waiting = replayed.waiting or [steps[step_id] for step_id in run.waiting if step_id in steps]
    run.close()
    return replayed


def _ends(entry: JournalEntry) -> bool:
    """A cancel, or the deadline: what the task waits for then is given up."""
    return entry.record.kind is JournalKind.CANCEL or entry.record.step_id == DEADLINE_STEP


def _answers(entry: JournalEntry, step: Step) -> bool:
    """Of the steps that a record ends, the others are timers and messages that nobody waits for any more."""
    if entry.record.kind is JournalKind.SIGNAL:
        return isinstance(step, ReceiveStep)
    return entry.record.step_id == step.id


def describe(step: Step) -> tuple[str, str]:
    """Kind and request of a step, in words."""
    kind = type(step).__name__.removesuffix("Step").lower()
    if isinstance(step, ModelStep):
        return kind, _short(next((m.content for m in reversed(step.prompt.messages) if m.role is Role.USER), ""))
    if isinstance(step, CallStep):
        kind = "call" if step.wait else "send" if step.root is None else "start"
        return kind, _short(f"{step.agent} {step.value.decode('utf-8', 'replace')}")
    if isinstance(step, ToolStep):
        return kind, _short(f"{step.zone}/{step.server} {step.tool} {step.arguments}")
    if isinstance(step, MemoryStep):
        text = step.query.content
        return step.query.action.value.lower(), _short(text if isinstance(text, str) else step.query.memory_id or "")
    if isinstance(step, PersonStep):
        return step.kind.value.lower(), _short(f"{step.role or 'anybody'}: {step.text}")
    if isinstance(step, ReceiveStep):
        return kind, f"message {step.message}"
    if isinstance(step, LocalStep):
        return "run", getattr(step.function, "__qualname__", "a function")
    if isinstance(step, TimerStep) and step.due is not None:
        return kind, f"until {datetime.fromtimestamp(step.due / 1000, UTC).isoformat()}"
    return kind, ""


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _EXCERPT else flat[: _EXCERPT - 1] + "…"
