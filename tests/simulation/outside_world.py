"""Everybody outside of one task, for tests of whole conversations: a scripted model, functions that are run, people."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from aiosv3.agents.people import approval_content
from aiosv3.agents.steps import CallStep, LocalStep, ModelStep, PersonStep, Step, TimerStep, ToolStep
from aiosv3.agents.worker.local import execute
from aiosv3.schemas.records import JournalKind, Prompt, Role, Usage

if TYPE_CHECKING:
    from tests.agents.conftest import Play

Said = str | dict[str, Any]
Model = Callable[[Prompt], Said]


def calls(*wanted: tuple[str, Any], text: str = "") -> dict[str, Any]:
    """An answer that calls tools: ``(name, arguments)``; arguments that are no text become JSON."""
    listed = [
        {
            "id": f"{name}-{index}",
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for index, (name, given) in enumerate(wanted)
    ]
    return {"text": text, "tool_calls": json.dumps(listed)}


def script(*answers: Said) -> Model:
    """A model that says one answer after the other, by how many turns it sees: alike in every replay."""
    return lambda prompt: answers[sum(message.role is Role.ASSISTANT for message in prompt.messages)]


class Outside:
    """Answers the steps of a task. ``ran`` counts executed functions by step id, ``asked`` model calls."""

    def __init__(self, model: Model, *, agents: Callable[[CallStep], Any] | None = None, cost: int = 0) -> None:
        self.model = model
        self.people: Callable[[PersonStep], bool] = lambda _: True
        self.tools: Callable[[ToolStep], Any] = lambda step: json.loads(step.arguments)
        self.agents = agents
        self.cost = cost
        self.ran: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()

    def serve(self, task: Play, *, last_first: bool = False, most: int = 10_000) -> None:
        """Answers what waits, oldest first (or newest), until the task ends, waits for time only, or ``most``."""
        for _ in range(most):
            waiting = [step for step in task.run.waiting.values() if not isinstance(step, TimerStep)]
            if task.run.finish is not None or not waiting:
                return
            self.answer(task, waiting[-1 if last_first else 0])

    def answer(self, task: Play, step: Step) -> None:
        task.steps[step.id] = step
        if isinstance(step, ModelStep):
            self.asked[step.id] += 1
            said = self.model(step.prompt)
            content = json.dumps({"text": said, "tool_calls": None} if isinstance(said, str) else said)
            task.feed(
                task.record(JournalKind.ANSWER, step.id, content=content, usage=Usage(1, 10, 1, 2, self.cost, 3, 4))
            )
        elif isinstance(step, LocalStep):
            self.ran[step.id] += 1
            value, failure = asyncio.run(execute(step))
            if failure is not None:
                task.fail(step.id, failure, JournalKind.VALUE)
            else:
                task.feed(task.record(JournalKind.VALUE, step.id, content=value))
        elif isinstance(step, ToolStep):
            self.ran[step.id] += 1
            task.result(step.id, self.tools(step))
        elif isinstance(step, PersonStep):
            content = approval_content("ann", 1_750_000_000_000, "", approved=self.people(step))
            task.feed(task.record(JournalKind.ANSWER, step.id, content=content))
        else:
            assert isinstance(step, CallStep), f"nobody here answers {step}"
            assert self.agents is not None, f"agent {step.agent} is called"
            task.result(step.id, self.agents(step))


def crash_everywhere(task: Play, outside: Outside, serve: Callable[[Play], None] | None = None) -> Sequence[Any]:
    """Ends of the task, each after a crash behind one more record of its journal: a worker that replays and goes on.

    No function and no model may be asked again for what the journal holds.
    """
    serve = serve or outside.serve
    ends: list[Any] = []
    for upto in range(len(task.journal) + 1):
        outside.ran.clear()
        outside.asked.clear()
        again = task.replay(upto=upto)
        answered = {entry.record.step_id for entry in task.journal[:upto]}
        serve(again)
        assert not answered & set(outside.ran)
        assert not answered & set(outside.asked)
        ends.append((again.ended.outcome, again.ended.value, again.ended.failure))
        again.run.close()
    return ends
