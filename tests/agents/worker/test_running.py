"""How live tasks are driven: begun, fed, resumed (protocol rules 16 and 18)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context
from aiosv3.agents.facts import Finish
from aiosv3.agents.steps import Step
from aiosv3.agents.task import TaskRun
from aiosv3.agents.worker.live import LiveTask
from aiosv3.agents.worker.running import Running
from aiosv3.schemas.records import Outcome
from aiosv3.streams.log import Record

if TYPE_CHECKING:
    from tests.agents.conftest import Play

EVENT = Record("tasks", 0, 7, 0, None, b"", [])


async def asks_twice(ctx: Context, value: str) -> str:
    ctx.progress("begun")
    async with asyncio.timeout(60):
        first = await ctx.generate(f"about {value}")
        ctx.progress("half of it")
        return first + await ctx.generate("and then")


class Sender:
    """Notes what it is told to send, and what it is told was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.known: list[str] = []
        self.shown: list[str] = []

    def show(self, live: LiveTask) -> None:
        self.shown += [f"{told.id}: {told.text}" for told in live.run.progress.take()]

    def announce(self, live: LiveTask) -> None:
        self.sent += [step.id for step in live.unsent]
        live.unsent.clear()

    def rearm(self, _live: LiveTask, steps: Iterable[Step]) -> None:
        self.known += [step.id for step in steps]


def driven(play: Callable[..., Play], upto: int) -> tuple[Running, Sender, LiveTask, list[Finish], Play]:
    """Somebody's task with a journal of two records, and a live task that has the first ``upto`` of them to go."""
    lived = play(asks_twice, stream=0)
    lived.started()
    lived.answer("2", "one ")
    sender, ended = Sender(), list[Finish]()
    double: Any = sender
    nothing: Any = None
    running = Running(double, nothing, lambda: 0, lambda _live, finish: ended.append(finish), sender.show)
    run = TaskRun(lived.agent, lived.task, b"a secret of tests")
    live = LiveTask(EVENT, lived.task, run, 0, entries=lived.journal[:upto])
    return running, sender, live, ended, lived


def test_rule_16_beginning_sends_what_has_no_answer_in_the_journal(play: Callable[..., Play]) -> None:
    running, sender, live, _, _ = driven(play, 2)
    running.begin(live)
    assert (sender.sent, sender.known) == (["1", "3"], [])
    assert live.announced


def test_resuming_sends_only_what_became_reachable_since(play: Callable[..., Play]) -> None:
    running, sender, live, _, lived = driven(play, 1)
    running.resume(live, lived.journal[1:])
    assert sender.known == ["1", "2"]
    assert sender.sent == ["3"]
    assert live.begun


def test_a_resumed_task_goes_on_to_its_end(play: Callable[..., Play]) -> None:
    running, sender, live, ended, lived = driven(play, 2)
    running.resume(live, [])
    assert (sender.sent, sender.known) == ([], ["1", "3"])
    lived.answer("3", "two")
    running.feed(live, lived.journal[-1])
    assert [(finish.outcome, finish.value) for finish in ended] == [(Outcome.OK, "one two")]


def test_a_task_ends_only_when_all_that_it_sent_is_acknowledged(play: Callable[..., Play]) -> None:
    running, _, live, ended, lived = driven(play, 2)
    running.resume(live, [])
    lived.answer("3", "two")
    live.sending = 1
    running.feed(live, lived.journal[-1])
    assert ended == []
    live.sending = 0
    running.conclude_when_sent(live)
    assert len(ended) == 1


def test_timers_and_functions_that_nobody_waits_for_are_dropped(play: Callable[..., Play], stage: Any) -> None:
    running, _, live, _, lived = driven(play, 2)
    running.resume(live, [])
    for name in ("1", "3", "gone", "deadline"):
        live.timers[name] = stage.loop.call_later(60, print)
    running.feed(live, lived.journal[0])
    assert live.timers.keys() == {"1", "3", "deadline"}


@pytest.mark.parametrize(("upto", "shown"), [(0, ["progress.1: begun"]), (1, []), (2, ["progress.2: half of it"])])
def test_only_what_is_told_beyond_the_journal_is_shown(play: Callable[..., Play], upto: int, shown: list[str]) -> None:
    """After its last record somebody may have died before it was shown; before that it was."""
    running, sender, live, _, _ = driven(play, upto)
    running.begin(live)
    assert sender.shown == shown


def test_what_a_resumed_task_told_before_it_slept_is_not_shown_again(play: Callable[..., Play]) -> None:
    running, sender, live, _, lived = driven(play, 2)
    running.resume(live, [])
    assert sender.shown == []
    running, sender, live, _, lived = driven(play, 1)
    running.resume(live, lived.journal[1:])
    assert sender.shown == ["progress.2: half of it"]


def test_what_is_told_by_a_live_task_is_shown_at_once(play: Callable[..., Play]) -> None:
    running, sender, live, _, lived = driven(play, 0)
    running.begin(live)
    for entry in lived.journal:
        running.feed(live, entry)
    assert sender.shown == ["progress.1: begun", "progress.2: half of it"]
