"""Runs the asyncio code of several processes on a bad network, on one thread, in an order that a seed picks.

    with Simulation(seed=7) as sim:
        sim.broker.create_topic("tasks", 3)
        sim.spawn("worker", main)               # async def main(process: ProcessContext) -> None
        sim.plan(Faults(kills=2, rebalances=1), within=30.0)
        assert sim.run(until=lambda: len(sim.broker.records("results")) == 10)

The same seed and the same code give the same run. Nothing waits for real: time is virtual.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeAlias

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.eventloop import DeterministicLoop
from aiosv3.streams.testing.broker import MemoryBroker
from aiosv3.streams.testing.chaos import Faults, Noise, SimulatedNetwork
from aiosv3.streams.testing.log import MemoryLog
from aiosv3.streams.testing.member import MemoryMember
from aiosv3.streams.testing.network import Host

_EPOCH: Final = 1_750_000_000.0  # the wall clock at virtual time 0
_STEP: Final = 1e-5  # seconds of virtual time that one callback takes
_JUMP: Final = 60.0
_RESTART: Final = 3.0

Main: TypeAlias = Callable[["ProcessContext"], Awaitable[None]]


class Event(NamedTuple):
    """One line of a simulation's history; ``time`` is virtual, in seconds."""

    time: float
    who: str
    what: str
    details: str

    def __str__(self) -> str:
        return f"{self.time:10.5f} {self.who:16} {self.what:15} {self.details}"


class ProcessFailed(AiosError):
    """The main function of a simulated process, or a callback on its loop, raised; see ``__cause__``."""


class Process(Host):
    """A simulated process. ``failures`` holds what its main function and its callbacks raised."""

    def __init__(self, simulation: Simulation, name: str, main: Main, *, base: str, tolerant: bool) -> None:
        self.simulation = simulation
        self.base = base
        self.main = main
        self.tolerant = tolerant
        self.skew = 0.0
        self.failures: list[BaseException | str] = []
        self.deterministic = DeterministicLoop(lambda: simulation.now, handler=self._complain)
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
            self.simulation.note(self.name, "killed", "")
            self.simulation.network.killed(self)

    def pause(self) -> None:
        """SIGSTOP: no callback and no timer runs; what comes in waits."""
        super().pause()
        self.simulation.note(self.name, "paused", "")

    def resume(self) -> None:
        """SIGCONT."""
        super().resume()
        self.simulation.note(self.name, "resumed", "")

    async def _run_main(self, context: ProcessContext) -> None:
        try:
            await self.main(context)
        except Exception as error:  # noqa: BLE001 -- the boundary of the process
            self.failures.append(error)
        self.simulation.note(self.name, "ended", repr(self.failures[-1]) if self.failures else "")

    def _complain(self, context: dict[str, Any]) -> None:
        self.failures.append(context.get("exception") or str(context.get("message")))


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
        return _EPOCH + self.process.simulation.now + self.process.skew

    def clock_ms(self) -> int:
        """The same in milliseconds."""
        return int(self.clock() * 1000)

    def member(self, group: str, input_topic: str, journal_topic: str | None = None) -> MemoryMember:
        """A membership of this process; its name is the process's, the group's and the topic's."""
        name = f"{self.name}/{group}"
        return MemoryMember(self.process.simulation.broker, self.log, group, input_topic, journal_topic, name=name)


class Simulation:
    """Owns virtual time, broker, network and processes. Use it ``with``: the end frees the coroutines."""

    def __init__(
        self, seed: int, noise: Noise | None = None, *, session_timeout: float = 6.0, heartbeat: float = 1.0
    ) -> None:
        self.seed = seed
        self.now = 0.0
        self.skew = 0.0
        self.steps = 0
        self.history: list[Event] = []
        self.processes: list[Process] = []
        self._rng = random.Random(seed)
        self._noise = noise or Noise()
        self.network = SimulatedNetwork(self._rng, lambda: self.now, self._noise, self.note)
        self.broker = MemoryBroker(
            self.clock, self.network, session_timeout=session_timeout, heartbeat=heartbeat, watch=self.note
        )

    def clock(self) -> float:
        """The broker's wall clock: it stamps the records."""
        return _EPOCH + self.now + self.skew

    def note(self, who: str, what: str, details: str) -> None:
        """Adds a line to the history."""
        self.history.append(Event(self.now, who, what, details))

    def spawn(self, name: str, main: Main, *, tolerant: bool = False) -> Process:
        """Starts a process. A second one of a name is called ``name~2`` and so on.

        What its code raises ends :meth:`run` with :class:`ProcessFailed`, unless it is ``tolerant``.
        """
        count = sum(process.base == name for process in self.processes) + 1
        unique = name if count == 1 else f"{name}~{count}"
        self.note(unique, "started", "")
        process = Process(self, unique, main, base=name, tolerant=tolerant)
        self.processes.append(process)
        return process

    def running(self) -> list[Process]:
        """The processes that are not killed and not ended, oldest first."""
        return [process for process in self.processes if process.running]

    def run(
        self,
        until: Callable[[], bool] = lambda: False,
        *,
        max_steps: int = 1_000_000,
        max_time: float = 600.0,
    ) -> bool:
        """Runs until the predicate holds (asked before each step) or nothing is left; returns if it holds.

        ``max_time`` is seconds of virtual time from now. Raises :class:`ProcessFailed`.
        """
        end = self.now + max_time
        for _ in range(max_steps):
            if until():
                return True
            if not self._step(end):
                break
            self._raise_failures()
        return until()

    def quieten(self) -> None:
        """From now on the network only delays; planned faults still come."""
        self.network.noise = Noise(slow_share=0.0, lost_acks=0.0, lost_answers=0.0, stray_commits=0.0)

    def plan(self, faults: Faults, *, within: float) -> None:
        """Plans faults at random times in the next ``within`` seconds; victims are picked then."""
        for kind in faults.kinds():
            strike: Callable[[], None] = getattr(self, f"_{kind}")
            self.network.later(self._rng.uniform(0, within), strike)

    def close(self) -> None:
        """Ends all processes and closes their loops."""
        for process in self.processes:
            process.up = False
            process.deterministic.close()

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}, {self.steps} steps", *map(str, self.history)])

    # ---- one step

    def _step(self, end: float) -> bool:
        awake = [process for process in self.processes if process.up and not process.paused]
        for process in awake:
            process.deterministic.run_due()
        ready = [process for process in awake if not process.deterministic.idle()]
        lanes = self.network.advance()
        if not ready and not lanes:
            return self._skip(awake, end)
        choice = self._rng.randrange(len(ready) + lanes)
        if choice < len(ready):
            ready[choice].deterministic.run_one()
        else:
            self.network.deliver(choice - len(ready))
        self.steps += 1
        self.now += _STEP
        return self.now < end

    def _skip(self, awake: list[Process], end: float) -> bool:
        """On to the next timer or message."""
        times = [process.deterministic.next_timer() for process in awake]
        due = [time for time in (*times, self.network.next_due()) if time is not None]
        self.now = max(self.now, min([*due, end]))
        return bool(due) and self.now < end

    def _raise_failures(self) -> None:
        for process in self.processes:
            if process.failures and not process.tolerant:
                failure = process.failures.pop()
                cause = failure if isinstance(failure, BaseException) else None
                raise ProcessFailed(f"{process.name} (seed {self.seed}): {failure!r}") from cause

    # ---- faults, by the names of the fields of Faults

    def _victim(self) -> Process | None:
        running = [process for process in self.running() if not process.paused]
        return self._rng.choice(running) if running else None

    def _kills(self) -> None:
        victim = self._victim()
        if victim:
            victim.kill()
            self.network.later(self._rng.uniform(0, _RESTART), lambda: self._respawn(victim))

    def _respawn(self, victim: Process) -> None:
        self.spawn(victim.base, victim.main, tolerant=victim.tolerant)

    def _pauses(self) -> None:
        victim = self._victim()
        if victim:
            victim.pause()
            self.network.later(self._some_time(), victim.resume)

    def _cuts(self) -> None:
        victim = self._victim()
        if victim:
            self._cut(victim)

    def _cut(self, victim: Process) -> None:
        until = self.now + self._some_time()
        self.note(victim.name, "cut", f"from the coordinator until {until:.3f}")
        self.network.cut(victim, until)

    def _expulsions(self) -> None:
        groups = [group for group in self.broker.groups() if group.members]
        if groups:
            group = self._rng.choice(groups)
            member = self._rng.choice(group.members)
            for process in self.running():
                if member.partition("/")[0] == process.name:
                    self._cut(process)
            group.remove(member, "expelled")

    def _rebalances(self) -> None:
        groups = [group for group in self.broker.groups() if group.members]
        if groups:
            group = self._rng.choice(groups)
            self.note("broker", "rebalance", group.name)
            group.rebalance(self._rng)

    def _jumps(self) -> None:
        step = self._rng.uniform(-_JUMP, _JUMP)
        victim = self._rng.choice([None, self._victim()])
        self.note(victim.name if victim else "broker", "clock jumps", f"{step:+.3f} s")
        if victim:
            victim.skew += step
        else:
            self.skew += step

    def _outages(self) -> None:
        until = self.now + self._some_time()
        self.note("broker", "outage", f"until {until:.3f}")
        self.network.outage(until)

    def _some_time(self) -> float:
        """Shorter than a session, or up to three times as long."""
        return self._rng.uniform(0, 3 * self.broker.session_timeout)
