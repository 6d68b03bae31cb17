"""Rule 17 as a property: any program, any order of records, the live run and every replay are the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiosv3.agents import Context, Limits, StepError
from aiosv3.agents.facts import DEADLINE_STEP, JournalEntry
from aiosv3.agents.steps import CallStep, LocalStep, ModelStep, Step, TimerStep
from aiosv3.agents.task import TaskRun
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome, StepFailure, Usage

if TYPE_CHECKING:
    from tests.agents.conftest import Play

NewPlay = Callable[..., "Play"]
Node = tuple[Any, ...]
LIMITS = Limits(model_calls=8)
FAILURE = StepFailure("ToolFailed", "as drawn", retryable=False)

# -- programs ---------------------------------------------------------------------------------------------------------

LEAVES = st.sampled_from([("ask",), ("run",), ("call",), ("send",), ("draw",), ("turn",), ("sleep", 1), ("sleep", 30)])


def _wider(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        several.map(lambda nodes: ("all in turn", nodes)),
        several.map(lambda nodes: ("gather", nodes)),
        several.map(lambda nodes: ("group", nodes)),
        several.map(lambda nodes: ("first", nodes)),
        inner.map(lambda node: ("try", node)),
        inner.map(lambda node: ("timeout", node)),
    )


PROGRAMS = st.recursive(LEAVES, _wider, max_leaves=10)


class Interpreter:
    """Runs a program; every request tells what was seen before, so that another order is another request."""

    def __init__(self, program: Node) -> None:
        self.program = program
        self.traces: list[list[str]] = []

    async def __call__(self, ctx: Context, _value: str) -> str:
        trace: list[str] = []
        self.traces.append(trace)
        await self._node(ctx, self.program, trace)
        return "|".join(trace)

    async def _node(self, ctx: Context, node: Node, trace: list[str]) -> None:
        seen = f"{len(trace)} {trace[-3:]}"
        match node[0]:
            case "ask":
                trace.append(await ctx.generate(seen))
            case "run":
                trace.append(f"ran {await ctx.run(lambda: 0)}")
            case "call":
                trace.append(f"called {await ctx.call('child', seen)}")
            case "send":
                ctx.send("child", seen)
            case "draw":
                trace.append(f"{ctx.uuid()} {ctx.random().random()} {ctx.now()}")
            case "turn":
                await asyncio.sleep(0)
            case "sleep":
                await asyncio.sleep(node[1])
                trace.append(f"slept at {ctx.now()}")
            case _:
                await self._several(ctx, node, trace)

    async def _several(self, ctx: Context, node: Node, trace: list[str]) -> None:
        if node[0] == "all in turn":
            for inner in node[1]:
                await self._node(ctx, inner, trace)
        elif node[0] == "gather":
            await asyncio.gather(*(self._node(ctx, inner, trace) for inner in node[1]), return_exceptions=True)
        elif node[0] == "group":
            async with asyncio.TaskGroup() as group:
                for inner in node[1]:
                    group.create_task(self._node(ctx, inner, trace))
        elif node[0] == "first":
            branches = [asyncio.ensure_future(self._node(ctx, inner, trace)) for inner in node[1]]
            done, left = await asyncio.wait(branches, return_when=asyncio.FIRST_COMPLETED)
            trace.append(f"{len(done)} first")
            for branch in left:
                branch.cancel()
            await asyncio.gather(*branches, return_exceptions=True)
        else:
            await self._guarded(ctx, node, trace)

    async def _guarded(self, ctx: Context, node: Node, trace: list[str]) -> None:
        try:
            async with asyncio.timeout(20 if node[0] == "timeout" else None):
                await self._node(ctx, node[1], trace)
        except (StepError, TimeoutError, ExceptionGroup) as error:
            trace.append(f"caught {type(error).__name__}")


# -- journals ---------------------------------------------------------------------------------------------------------


@dataclass
class Dice:
    """Choices that hypothesis made; zeros when they are used up."""

    left: list[int]
    used: int = 0

    def roll(self, sides: int) -> int:
        self.used += 1
        return self.left.pop(0) % sides if self.left else 0


@dataclass
class Live:
    """A live run with a world that answers in any order. ``views``: what was visible after each record."""

    task: Play
    interpreter: Interpreter
    dice: Dice
    views: list[Any] = field(default_factory=list)

    def go(self) -> None:
        self.views.append(self.seen(self.task))
        for _ in range(40):
            if not self._record():
                return
            self.views.append(self.seen(self.task))

    def seen(self, task: Play) -> Any:
        return task.view(), list(self.interpreter.traces[-1])

    def _record(self) -> bool:
        waiting = list(self.task.run.waiting.values())
        rare = self.dice.roll(25)
        if rare == 24:
            self.task.feed(self._rare(self.dice.roll(6)), at=self.dice.roll(100_000))
        elif waiting:
            step = waiting[self.dice.roll(len(waiting))]
            self.task.feed(self.answer(step, self.dice.roll(12)), at=self.dice.roll(100_000))
        return bool(waiting) or rare == 24

    def answer(self, step: Step, luck: int) -> JournalRecord:
        """The record that ends ``step``; with bad luck a failure."""
        record = self.task.record
        if isinstance(step, TimerStep):
            return record(JournalKind.TIMER, step.id)
        kind = JournalKind.VALUE
        if isinstance(step, ModelStep) or (isinstance(step, CallStep) and step.wait):
            kind = JournalKind.ANSWER
        if luck == 11:
            return record(kind, step.id, outcome=Outcome.FAILED, error=FAILURE)
        word = f"w{self.dice.used}"
        if isinstance(step, ModelStep):
            return record(kind, step.id, content=json.dumps({"text": word}), usage=Usage(1, 1, 1, 0, 1))
        assert isinstance(step, (CallStep, LocalStep))
        return record(kind, step.id, content=json.dumps(word))

    def _rare(self, which: int) -> JournalRecord:
        record, steps = self.task.record, list(self.task.steps.values())
        if which == 0:
            return record(JournalKind.CANCEL, None, outcome=Outcome.CANCELLED)
        if which == 1:
            return record(JournalKind.TIMER, DEADLINE_STEP)
        if which == 2 or not steps:
            return record(JournalKind.STARTED, None, code_version=f"v{self.dice.used}")
        step = steps[self.dice.roll(len(steps))]
        if which == 3:
            return record(JournalKind.ANSWER, step.id, content='{"text": "forged"}', token="0" * 16)
        return self.answer(step, 0)  # often a second one: the first record of a step counts


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=PROGRAMS, choices=st.lists(st.integers(0, 10_000), max_size=150), cut=st.integers(0, 40))
def test_rule_17_a_replay_is_the_live_run(play: NewPlay, program: Node, choices: list[int], cut: int) -> None:
    interpreter = Interpreter(program)
    task = play(interpreter, limits=LIMITS)
    live = Live(task, interpreter, Dice(choices))
    live.go()
    assert task.run.stuck is None, "nothing that a live run has seen may be a divergence"

    again = task.replay()
    assert live.seen(again) == live.views[-1]

    upto = min(cut, len(task.journal))
    moved = task.replay(upto=upto)
    assert live.seen(moved) == live.views[upto], "a new owner stands where the old one stood"
    for entry in task.journal[upto:]:
        moved.run.feed(entry)
        moved.take()
    assert live.seen(moved) == live.views[-1]
    asked = {(step.id, step.hash) for step in moved.asked}
    assert asked <= {(step.id, step.hash) for step in task.asked}, "a new owner asks for nothing else"
    for one in (again, moved):
        one.run.close()
    task.run.close()


# -- the property can fail --------------------------------------------------------------------------------------------


class MapOfAnswers(TaskRun):
    """The obvious implementation of a replay: look the answer up when the step is called."""

    answers: dict[str | None, JournalEntry]

    def issue(self, step: Step, decode: Callable[[JournalEntry], Any]) -> asyncio.Future[Any]:
        future = super().issue(step, decode)
        entry = self.answers.get(step.id)
        if entry is not None:
            self._pending.pop(step.id).settle(entry)
        return future


BRANCHES: Node = ("gather", (("all in turn", (("ask",), ("ask",))), ("all in turn", (("ask",), ("ask",)))))


@pytest.mark.parametrize(("order", "differs"), [("1234", False), ("2314", True), ("2134", True)])
def test_rule_17_a_map_of_answers_is_not_a_replay(play: NewPlay, order: str, differs: bool) -> None:
    interpreter = Interpreter(BRANCHES)
    task = play(interpreter)
    for step_id in order:
        task.answer(step_id, f"w{step_id}")
    assert task.ended.outcome is Outcome.OK
    assert task.replay().view() == task.view()
    mapped = MapOfAnswers(task.agent, task.task, b"a secret of tests")
    mapped.answers = {entry.record.step_id: entry for entry in task.journal}
    mapped.start()
    finish = mapped.finish
    mapped.close()
    assert finish is not None
    assert (finish.value != task.ended.value) == differs
