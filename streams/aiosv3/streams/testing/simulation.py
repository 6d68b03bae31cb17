"""Runs the asyncio code of several processes on a bad network, on one thread, in an order that a seed picks.

    with Simulation(seed=7) as sim:
        sim.broker.create_topic("tasks", 3)
        sim.spawn("worker", main)               # async def main(process: ProcessContext) -> None
        sim.plan(Faults(kills=2, rebalances=1), within=30.0)
        assert sim.run(until=lambda: len(sim.broker.records("results")) == 10)

The same seed and the same code give the same run. Nothing waits for real: time is virtual.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.testing.broker import MemoryBroker
from aiosv3.streams.testing.chaos import Faults, Noise, SimulatedNetwork
from aiosv3.streams.testing.process import EPOCH, Main, Process, ProcessLoop

_STEP: Final = 1e-5  # seconds of virtual time that one callback takes
_JUMP: Final = 60.0
_RESTART: Final = 3.0


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
        self.failed = False
        """Some process has a failure that was not looked at yet."""
        self.fateful: Callable[[str], bool] = lambda _place: True
        """Which records, by their place, a planned crash may come right behind."""
        self._crashing: list[int] = []
        """For each crash to come: how many records land before."""
        self.ready: list[ProcessLoop] = []
        """Loops with something to run, in the order in which they got it."""
        self.look_at = 0.0
        """Before this time no timer of a process is due."""
        self._awake: list[ProcessLoop] = []
        self._rng = random.Random(seed)
        self._noise = noise or Noise()
        self.network = SimulatedNetwork(self._rng, lambda: self.now, self._noise, self.note)
        self.broker = MemoryBroker(
            self.clock, self.network, session_timeout=session_timeout, heartbeat=heartbeat, watch=self.note
        )

    def clock(self) -> float:
        """The broker's wall clock: it stamps the records."""
        return EPOCH + self.now + self.skew

    def note(self, who: str, what: str, details: str) -> None:
        """Adds a line to the history."""
        self.history.append(Event(self.now, who, what, details))
        if self._crashing and what == "append" and self.fateful(details):
            self._landed(who)

    def spawn(self, name: str, main: Main, *, tolerant: bool = False) -> Process:
        """Starts a process. A second one of a name is called ``name~2`` and so on.

        What its code raises ends :meth:`run` with :class:`ProcessFailed`, unless it is ``tolerant``.
        """
        count = sum(process.base == name for process in self.processes) + 1
        unique = name if count == 1 else f"{name}~{count}"
        self.note(unique, "started", "")
        process = Process(self, unique, main, base=name, tolerant=tolerant)
        self.processes.append(process)
        self.turned()
        return process

    def turned(self) -> None:
        """A process was started, killed, paused or resumed."""
        self._awake = [process.deterministic for process in self.processes if process.up and not process.paused]
        self.look_at = self.now

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
            if self.failed:
                self._raise_failures()
        return until()

    def quieten(self) -> None:
        """From now on the network only delays; planned faults still come."""
        self.network.noise = Noise(slow_share=0.0, lost_acks=0.0, lost_answers=0.0, stray_commits=0.0)

    def plan(self, faults: Faults, *, within: float, without: Collection[int] = ()) -> None:
        """Plans faults at random times in the next ``within`` seconds; victims are picked then.

        ``without``: numbers of faults, in the order of :meth:`Faults.kinds`, that do not strike; the others come when
        they would have come.
        """
        for number, kind in enumerate(faults.kinds()):
            strike: Callable[[], None] = getattr(self, f"_{kind}")
            at = self._rng.uniform(0, within)
            if number not in without:
                self.network.later(at, strike)

    def close(self) -> None:
        """Ends all processes and closes their loops."""
        for process in self.processes:
            process.up = False
            process.deterministic.close()

    def __enter__(self) -> Simulation:
        """What production code draws from the global generator is the seed's too."""
        self._outer = random.getstate()
        random.seed(f"global {self.seed}")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        random.setstate(self._outer)

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}, {self.steps} steps", *map(str, self.history)])

    # ---- one step

    def _step(self, end: float) -> bool:
        if self.look_at <= self.now:
            self._look()
        ready, lanes = self.ready, self.network.advance()
        if not ready and not lanes:
            return self._skip(end)
        choice = int(self._rng.random() * (len(ready) + lanes))
        if choice < len(ready):
            ready[choice].run_one()
        else:
            self.network.deliver(choice - len(ready))
        self.steps += 1
        self.now += _STEP
        return self.now < end

    def _look(self) -> None:
        """Timers that are due become ready to run."""
        for loop in self._awake:
            if loop.look_at <= self.now:
                loop.run_due()
        self.look_at = min((loop.look_at for loop in self._awake), default=math.inf)

    def _skip(self, end: float) -> bool:
        """On to the next timer or message."""
        message = self.network.next_due()
        due = self.look_at if message is None else min(message, self.look_at)
        self.now = max(self.now, min(due, end))
        return due < math.inf and self.now < end

    def _raise_failures(self) -> None:
        self.failed = False
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

    def _crashes(self) -> None:
        self._crashing.append(self._rng.randrange(30))

    def _landed(self, who: str) -> None:
        process = next((process for process in self.processes if process.name == who), None)
        if process is None:
            return
        self._crashing = [left - 1 for left in self._crashing]
        if min(self._crashing) < 0:
            self._crashing = [left for left in self._crashing if left >= 0]
            self.network.later(0.0, lambda: self._crash(process))

    def _crash(self, victim: Process) -> None:
        if victim.running:
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
