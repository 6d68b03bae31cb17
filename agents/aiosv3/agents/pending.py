"""A step that waits for its answer, and how its future gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiosv3.agents.errors import StepError, StepTimeout
from aiosv3.agents.facts import JournalEntry
from aiosv3.agents.steps import Step


@dataclass(slots=True)
class Pending:
    """``future`` is None for a timer of the task's own loop: ``decode`` then does what is due."""

    step: Step
    future: asyncio.Future[Any] | None
    decode: Callable[[JournalEntry], Any]

    def settle(self, entry: JournalEntry) -> None:
        """The answer, or the error that it raises where it is awaited. Nothing if nobody waits any more."""
        if self.future is None:
            self.decode(entry)
        elif not self.future.done():
            try:
                self.future.set_result(self.decode(entry))
            except StepError as error:
                self.future.set_exception(error)

    def expire(self) -> None:
        """The step's own timer lies before its answer in the journal."""
        step = self.step
        if self.future is not None and not self.future.done():
            span = timedelta(milliseconds=(step.due or step.first_sent) - step.first_sent)
            self.future.set_exception(StepTimeout(f"no answer within {span}", step=step.id))


def retrieve(future: asyncio.Future[Any]) -> None:
    """A done callback: the failure of a step that nobody awaits is in the journal, asyncio need not report it."""
    if not future.cancelled():
        future.exception()


def drop(steps: dict[str, Pending]) -> None:
    """Their loop is closed, so nobody waits any more: ``steps`` is emptied, and each future lets go of who did."""
    while steps:
        future = steps.popitem()[1].future
        if future is not None:
            future.cancel()
