"""One run on a stack that is up: events in, kills on the way, until both sides have done what they will do."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiosv3.app.demo import produce
from aiosv3.app.demo.calls import NAIVE, Tally, read_calls, tally
from aiosv3.app.demo.followers import Follower, Settling
from aiosv3.app.demo.kills import Kill, Killer
from aiosv3.app.demo.stack import MODEL_PROCESS, NAIVE_LOOP, DemoFailed, Process
from aiosv3.app.demo.view import Scene, View

_LOOK_S: Final = 0.1
_CALLS_S: Final = 0.5
_QUIET_S: Final = 2.0
_PRODUCER_S: Final = 5.0
_STREAM_S: Final = 20.0
_SLOWEST: Final = 4.0
_SHARED: Final = frozenset({"kafka", MODEL_PROCESS})


class Stopped(Exception):
    """Somebody wanted to stop."""


@dataclass(frozen=True, slots=True)
class Sending:
    """The producer: a plain script, as a process of its own. Acknowledged ids go to ``acks``."""

    bootstrap: str
    topic: str
    run: str
    acks: Path
    count: int
    limit: int | None = None

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[bytes]]:
        """Events come as a stream, so that kills fall into it. Ends with the block."""
        rate = max(_SLOWEST, self.count / _STREAM_S)
        command = [sys.executable, produce.__file__, "--bootstrap", self.bootstrap, "--run", self.run]
        command += ["--topic", self.topic, "--rate", f"{rate:.1f}"]
        if self.limit is not None:
            command += ["--limit", str(self.limit)]
        self.acks.parent.mkdir(parents=True, exist_ok=True)
        with self.acks.open("wb") as acks:
            process = subprocess.Popen(  # noqa: S603 -- our own script, no shell
                command, stdin=subprocess.DEVNULL, stdout=acks
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def acknowledged(self) -> list[str]:
        """The task ids that the broker acknowledged, as the producer printed them."""
        return [line.partition("\t")[0] for line in self.acks.read_text(encoding="utf-8").splitlines()]


@dataclass(frozen=True, slots=True)
class Lane:
    """A side, who kills it, and whether it is at its end although results are missing."""

    follower: Follower
    killer: Killer
    settling: Settling | None = None


class Race:
    """``lanes``: ours, and the twin if it runs. ``processes``: what is up now; ``calls``: the model's log."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        processes: Callable[[], tuple[Process, ...]],
        calls: Path,
        view: View,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lanes = list(lanes)
        self._processes = processes
        self._calls = calls
        self._view = view
        self._clock = clock
        self._began = clock()
        self._tallied = 0.0
        self._tallies: dict[str, Tally] = {}
        self.took: dict[str, float] = {}
        self.last: Scene | None = None

    def run(self, sending: Sending, deadline_s: float) -> None:
        """Until all is done, or ``deadline_s`` after the start. Raises :class:`Stopped`, :class:`DemoFailed`."""
        self._began = self._clock()
        with self._view, sending.process() as producer:
            while self._clock() - self._began < deadline_s and not self._over(sending, producer):
                self._step(sending)
            sent = _ended(producer)
            for lane in self._lanes:
                lane.follower.quiet(_QUIET_S)
            self._step(sending)
        if sent != 0:
            words = "was still sending at the deadline" if sent is None else f"ended with {sent}"
            raise DemoFailed(f"the producer {words}: not all tasks were sent")

    def kills(self) -> list[Kill]:
        """The kills so far, ours first; one that met both sides is there once."""
        killers = [lane.killer for lane in self._lanes]
        done = (kill for killer in killers for kill in (*killer.kills, *killer.by_hand) if kill.done)
        return list({(kill.name, kill.pid): kill for kill in done}.values())

    def _step(self, sending: Sending) -> None:
        for lane in self._lanes:
            lane.follower.look(_LOOK_S)
            lane.killer.due(lane.follower.done)
        processes = self._processes()
        for victim in self._view.victims(processes):
            self._strike(victim)
        if self._view.stopped:
            raise Stopped
        self._view.show(self._scene(processes, sending))

    def _over(self, sending: Sending, producer: subprocess.Popen[bytes]) -> bool:
        """Both are asked each time: the time at which a side is through is kept."""
        through = [self._is_through(lane, sending.count, producer.poll() is not None) for lane in self._lanes]
        return all(through)

    def _is_through(self, lane: Lane, count: int, sent: bool) -> bool:
        follower = lane.follower
        through = follower.done >= count
        if not through and sent and lane.settling is not None:
            open_calls = self._tally(follower.name).open
            through = lane.settling.is_over(len(follower.records), open_calls)
        if through:
            self.took.setdefault(follower.name, self._clock() - self._began)
        return through

    def _strike(self, victim: Process) -> None:
        """What belongs to neither side is killed for both."""
        first, *others = self._lanes_of(victim)
        if first.killer.strike(victim, first.follower.done):
            for lane in others:
                lane.killer.note(victim, lane.follower.done)

    def _lanes_of(self, victim: Process) -> list[Lane]:
        if victim.name in _SHARED:
            return self._lanes
        return self._lanes[-1:] if victim.kind == NAIVE_LOOP else self._lanes[:1]

    def _scene(self, processes: tuple[Process, ...], sending: Sending) -> Scene:
        sides = tuple(lane.follower.progress(sending.count, self._tally(lane.follower.name)) for lane in self._lanes)
        self.last = Scene(self._clock() - self._began, processes, sides, tuple(self.kills()), self._note(sending.count))
        return self.last

    def _note(self, count: int) -> str:
        waiting = [lane.follower.name for lane in self._lanes if lane.follower.done < count]
        return "waiting for what the naive loop still does" if waiting == [NAIVE] else ""

    def _tally(self, name: str) -> Tally:
        now = self._clock()
        if name not in self._tallies or now - self._tallied > _CALLS_S:
            calls = read_calls(self._calls)
            self._tallies = {lane.follower.name: tally(calls, lane.follower.name) for lane in self._lanes}
            self._tallied = now
        return self._tallies[name]


def _ended(producer: subprocess.Popen[bytes]) -> int | None:
    """Its exit code; None if it is still sending when all should be over."""
    try:
        return producer.wait(_PRODUCER_S)
    except subprocess.TimeoutExpired:
        return None
