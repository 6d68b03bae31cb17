"""The event loop of one task: asyncio inside, the journal outside (protocol rules 17 to 19)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context as ContextVars
from typing import Any, Final, TypeVarTuple, Unpack

from aiosv3.agents.errors import OutsideStep
from aiosv3.schemas.headers import Clearance
from aiosv3.streams.eventloop import DeterministicLoop, Livelock

_Ts = TypeVarTuple("_Ts")

STEPS_LIMIT: Final = 100_000
"""Callbacks that a task may run between two journal records before it counts as spinning."""
_EXITS_LIMIT: Final = 1_000


class TaskLoop(DeterministicLoop):
    """Timers are steps: ``on_timer(handle)`` when one is set, ``on_cancel(handle)`` when it is not needed any more."""

    __slots__ = ("_first", "_on_cancel", "_on_timer", "as_stored", "sealed")

    def __init__(
        self,
        clock: Callable[[], float],
        on_timer: Callable[[asyncio.TimerHandle], None],
        on_cancel: Callable[[asyncio.TimerHandle], None],
    ) -> None:
        super().__init__(clock, handler=_ignore)
        self._on_timer = on_timer
        self._on_cancel = on_cancel
        self._first: Sequence[asyncio.Task[Any]] = ()
        self.sealed: dict[str, bytes] = {}
        """By claim: what the task has sealed and its worker has to store before it sends anything more."""
        self.as_stored: Callable[[bytes, Clearance], bytes] = lambda raw, _judged: raw
        """A block of a conversation, of the class that its text has, as it is stored."""

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: ContextVars | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        timer._scheduled = True  # type: ignore[attr-defined] # noqa: SLF001 -- else cancel() does not tell us
        if not self._closed:
            self._on_timer(timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._on_cancel(handle)

    def fire(self, timer: asyncio.TimerHandle) -> None:
        """The journal says that this timer fired: its callback is ready to run."""
        if not timer.cancelled():
            self._ready.append(timer)

    def run_to_quiescence(self) -> None:
        """Runs until idle; raises Livelock. A branch that exits holds SystemExit as its exception: the loop goes on."""
        for _ in range(_EXITS_LIMIT):
            try:
                self.run_until_idle(STEPS_LIMIT)
                return
            except SystemExit:
                continue
        raise Livelock("the branches of the agent exit again and again")

    @contextmanager
    def cancelled_first(self, task: asyncio.Task[Any]) -> Iterator[None]:
        """While this is open, a close of the loop cancels ``task`` before and lets it end: its cleanup needs a loop."""
        self._first = [*self._first, task]
        try:
            yield
        finally:
            left = [*self._first]
            left.remove(task)
            self._first = left

    def close(self) -> None:
        """Drops everything; what :meth:`cancelled_first` names ends by itself, the rest as in any such loop."""
        if self._first and not self.is_closed():
            for task in self._first:
                task.cancel()
            with suppress(Livelock):
                self.run_to_quiescence()
        super().close()

    def outside(self, name: str) -> Any:
        raise OutsideStep(
            f"loop.{name}() reaches outside the journal of this task, so a replay could not repeat it: "
            "wrap it in ctx.run(...)"
        )


def _ignore(_context: dict[str, Any]) -> None:
    """Failures of steps that nobody awaits are in the journal; a log line at garbage collection adds nothing."""
