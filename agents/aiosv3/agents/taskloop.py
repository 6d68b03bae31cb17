"""The event loop of one task: asyncio inside, the journal outside (protocol rules 17 to 19)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context as ContextVars
from typing import Any, Final, TypeVarTuple, Unpack

from aiosv3.agents.errors import OutsideStep
from aiosv3.streams.eventloop import DeterministicLoop

_Ts = TypeVarTuple("_Ts")

STEPS_LIMIT: Final = 100_000
"""Callbacks that a task may run between two journal records before it counts as spinning."""


class TaskLoop(DeterministicLoop):
    """Timers are steps: ``on_timer(handle)`` when one is set, ``on_cancel(handle)`` when it is not needed any more."""

    __slots__ = ("_on_cancel", "_on_timer")

    def __init__(
        self,
        clock: Callable[[], float],
        on_timer: Callable[[asyncio.TimerHandle], None],
        on_cancel: Callable[[asyncio.TimerHandle], None],
    ) -> None:
        super().__init__(clock, handler=_ignore)
        self._on_timer = on_timer
        self._on_cancel = on_cancel

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

    def outside(self, name: str) -> Any:
        raise OutsideStep(
            f"loop.{name}() reaches outside the journal of this task, so a replay could not repeat it: "
            "wrap it in ctx.run(...)"
        )


def _ignore(_context: dict[str, Any]) -> None:
    """Failures of steps that nobody awaits are in the journal; a log line at garbage collection adds nothing."""
