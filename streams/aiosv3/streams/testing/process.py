"""A simulated process: its event loop, its life, and what its main function is given."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVarTuple

from aiosv3.streams.eventloop import DeterministicLoop
from aiosv3.streams.testing.log import MemoryLog
from aiosv3.streams.testing.member import MemoryMember
from aiosv3.streams.testing.network import Host

if TYPE_CHECKING:
    from aiosv3.streams.testing.simulation import Simulation

EPOCH: Final = 1_750_000_000.0
"""The wall clock at virtual time 0."""
_Ts = TypeVarTuple("_Ts")
Main: TypeAlias = Callable[["ProcessContext"], Awaitable[None]]


class ProcessLoop(DeterministicLoop):
    """The loop of a process, which tells the simulation when it has something to run: nobody goes round and asks.

    ``look_at``: before this time none of its timers is due.
    """

    __slots__ = ("_awake", "_listed", "_simulation", "look_at")

    def __init__(self, simulation: Simulation, handler: Callable[[dict[str, Any]], object]) -> None:
        super().__init__(lambda: simulation.now, handler=handler)
        self._simulation = simulation
        self._awake = True
        self._listed = False
        self.look_at = math.inf

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = super().call_soon(callback, *args, context=context)
        if not self._listed:
            self._list()
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        if when < self.look_at:
            self.look_at = when
            self._simulation.look_at = min(when, self._simulation.look_at)
        return super().call_at(when, callback, *args, context=context)

    def run_due(self) -> int:
        moved = super().run_due()
        self.look_at = self._timers[0][0] if self._timers else math.inf
        if moved and not self._listed:
            self._list()
        return moved

    def run_one(self) -> bool:
        ran = super().run_one()
        if self._head == len(self._ready):
            self._unlist()
        return ran

    def wake(self, *, awake: bool) -> None:
        """Asleep it runs nothing: its process is paused or gone."""
        self._awake = awake
        if not awake:
            self._unlist()
        elif not self.idle():
            self._list()

    def _list(self) -> None:
        if self._awake and not self._listed:
            self._listed = True
            self._simulation.ready.append(self)

    def _unlist(self) -> None:
        if self._listed:
            self._listed = False
            self._simulation.ready.remove(self)


class Process(Host):
    """A simulated process. ``failures`` holds what its main function and its callbacks raised."""

    def __init__(self, simulation: Simulation, name: str, main: Main, *, base: str, tolerant: bool) -> None:
        self.simulation = simulation
        self.base = base
        self.main = main
        self.tolerant = tolerant
        self.skew = 0.0
        self.failures: list[BaseException | str] = []
        self.deterministic = ProcessLoop(simulation, self._complain)
        super().__init__(name, self.deterministic)
        self.task = self.deterministic.create_task(self._run_main(ProcessContext(self)))

    @property
    def running(self) -> bool:
        """True until it is killed or its main function has ended; a paused process is running."""
        return self.up and not self.task.done()

    def kill(self) -> None:
        """kill -9: some of what it sent may still land. No code of it runs again, not even ``finally``."""
        if self.up:
            super().kill()
            self.deterministic.wake(awake=False)
            self.simulation.turned()
            self.simulation.note(self.name, "killed", "")
            self.simulation.network.killed(self)

    def pause(self) -> None:
        """SIGSTOP: no callback and no timer runs; what comes in waits."""
        super().pause()
        self.deterministic.wake(awake=False)
        self.simulation.turned()
        self.simulation.note(self.name, "paused", "")

    def resume(self) -> None:
        """SIGCONT."""
        super().resume()
        self.deterministic.wake(awake=self.up)
        self.simulation.turned()
        self.simulation.note(self.name, "resumed", "")

    async def _run_main(self, context: ProcessContext) -> None:
        try:
            await self.main(context)
        except Exception as error:  # noqa: BLE001 -- the boundary of the process
            self._fail(error)
        self.simulation.note(self.name, "ended", repr(self.failures[-1]) if self.failures else "")

    def _complain(self, context: dict[str, Any]) -> None:
        self._fail(context.get("exception") or str(context.get("message")))

    def _fail(self, failure: BaseException | str) -> None:
        self.failures.append(failure)
        self.simulation.failed = True


class ProcessContext:
    """What a simulated process has. ``rng`` is its own, derived from the seed and its name."""

    def __init__(self, process: Process) -> None:
        simulation = process.simulation
        self.name = process.name
        self.process = process
        self.rng = random.Random(f"{simulation.seed}/{process.name}")
        self.log = MemoryLog(simulation.broker, process)

    def clock(self) -> float:
        """The wall clock of this process, in seconds since the epoch; it may jump."""
        return EPOCH + self.process.simulation.now + self.process.skew

    def clock_ms(self) -> int:
        """The same in milliseconds."""
        return int(self.clock() * 1000)

    def member(self, group: str, input_topic: str, journal_topic: str | None = None) -> MemoryMember:
        """A membership of this process; its name is the process's, the group's and the topic's."""
        name = f"{self.name}/{group}"
        return MemoryMember(self.process.simulation.broker, self.log, group, input_topic, journal_topic, name=name)
