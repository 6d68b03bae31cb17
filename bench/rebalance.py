"""A rebalance while long calls are in flight: a worker joins, is killed and started again, leaves, is killed for good.

    python bench/rebalance.py [--rounds 3] [--call 40] [--only named unnamed] [--write] [--json]

Each partition has two calls of 40 s at work whenever something happens, and ten short tasks a second. Workers with a
name (``[kafka] instance``, as ``aiosv3 up`` sets it) and without one. Of each event are told: how long partitions that
stay made no progress; of those that move, how long until the next owner works, from the moment when the last one gave
them back or was killed; what was done twice. Each figure is the worst of its partitions; printed are median and worst
of all rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from beside.command import Run, keep
from beside.contenders import OURS
from beside.places import PROGRAMS, Running, until
from beside.stream import Bench
from beside.traffic import Line, Tasks
from measures import started
from peers import NotHere

from aiosv3.app.localstack.kafka import KafkaServer

KINDS: Final = ("named", "unnamed")
PARTITIONS: Final = 8
RATE: Final = 10
"""Short tasks a second on each partition: a pause is seen a tenth of a second more or less."""
SHORT_S: Final = 0.01
QUIET_S: Final = 3.0
PATIENCE_S: Final = 120.0
CLOCK_S: Final = 0.002
"""Of the broker, whose times are whole milliseconds."""
WORDS: Final = {
    "stay_s": "partitions that stay stand still for",
    "moved": "moved",
    "over_s": "given back (or killed) to at work again",
    "stood_s": "these stand still for",
    "redone": "finished tasks redone",
    "twice_stayed": "calls made twice where nothing moved",
    "twice_moved": "where something did",
    "tasks": "tasks",
    "lost": "lost",
    "two_results": "with two results",
}
LIMITS: Final = {"stay_s": 1.0, "redone": 0, "twice_stayed": 0, "lost": 0, "two_results": 0}


@dataclass(frozen=True, slots=True)
class Change:
    """A line of a worker: ``b``, ``e`` of a task, ``o``, ``v`` of a partition."""

    mark: str
    name: str
    at: float


def changes_in(text: str) -> list[Change]:
    """The lines of a file; one that a kill cut off is none."""
    parts = [line.split() for line in text.splitlines()]
    return [Change(mark, name, float(at)) for mark, name, at in (each for each in parts if len(each) == 3) if "." in at]


def partition_of(task: str) -> str:
    """Tasks are named by their number, and go round."""
    return str(int(task.rpartition("-")[2]) % PARTITIONS)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, when, and when all was at rest again."""

    name: str
    at: float
    until: float


def pauses(event: Event, changes: Sequence[Change]) -> dict[str, float]:
    """Longest time between two beginnings of short tasks, by partition."""
    found: dict[str, float] = {}
    last: dict[str, float] = {}
    for change in changes:
        if change.mark == "b" and change.name.startswith("s-"):
            place = partition_of(change.name)
            if place in last and change.at > event.at and last[place] < event.until:
                found[place] = max(found.get(place, 0.0), change.at - last[place])
            last[place] = change.at
    return found


def handed_over(event: Event, changes: Sequence[Change]) -> dict[str, float]:
    """Seconds from where a partition was given back, or its owner killed, to the next owner's first task."""
    inside = [change for change in changes if event.at <= change.at <= event.until]
    taken = {change.name: change.at for change in inside if change.mark == "o"}
    given = {change.name: change.at for change in inside if change.mark == "v"}
    found = {}
    for place, at in taken.items():
        again = (c.at for c in inside if c.mark == "b" and c.at >= at and partition_of(c.name) == place)
        found[place] = min(again, default=float("nan")) - given.get(place, event.at)
    return found


def told(event: Event, changes: Sequence[Change], results: Mapping[str, float]) -> dict[str, float]:
    """The figures of one event."""
    stood, moved = pauses(event, changes), handed_over(event, changes)
    stayed = {place: seconds for place, seconds in stood.items() if place not in moved}
    begun = Counter(change.name for change in changes if change.mark == "b" and change.at <= event.until)
    before = Counter(change.name for change in changes if change.mark == "b" and change.at < event.at)
    again = {name for name in begun if begun[name] > before[name] > 0}
    redone = {
        change.name
        for change in changes
        if change.mark == "b" and change.name in again and event.at <= change.at <= event.until
        if results.get(change.name, float("inf")) < change.at - CLOCK_S
    }
    return {
        "stay_s": max(stayed.values(), default=0.0),
        "moved": len(moved),
        "over_s": max(moved.values(), default=0.0),
        "stood_s": max((stood.get(place, 0.0) for place in moved), default=0.0),
        "redone": len(redone),
        "twice_stayed": sum(1 for name in again if partition_of(name) not in moved),
        "twice_moved": sum(1 for name in again - redone if partition_of(name) in moved),
    }


@dataclass(slots=True)
class Worker:
    """A process, and the file of its lines."""

    process: Running
    seen: Path

    def changes(self) -> list[Change]:
        """What it has left until now."""
        return changes_in(self.seen.read_text(encoding="ascii"))

    def owned(self) -> set[str]:
        """The partitions on which it is at work."""
        now = {change.name: change.mark for change in self.changes() if change.mark in "ov"}
        return {place for place, mark in now.items() if mark == "o"}

    def signal(self, number: int) -> None:
        """To its process alone."""
        assert self.process.process is not None
        os.kill(self.process.process.pid, number)

    def gone(self) -> bool:
        """Whether its process has ended."""
        return self.process.process is None or self.process.process.poll() is not None


@dataclass(slots=True)
class Scene:
    """Workers of one group, and who sends them tasks."""

    bench: Bench
    kind: str
    call_s: float
    folder: Path
    prefix: str
    workers: list[Worker] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)
    line: Line = field(init=False)

    def start(self, name: str) -> Worker:
        """A worker that is at work on a partition. The first one makes the topics."""
        seen = self.folder / f"seen-{len(self.workers)}"
        seen.touch()
        python = OURS.place.interpreter()
        command = [python, "-W", "ignore", str(PROGRAMS / "rebalance_ours.py"), self.bench.bootstrap, self.prefix]
        variables = {
            **OURS.environment,
            "AIOSV3_BENCH_STATE": str(self.folder),
            "AIOSV3_BENCH_SEEN": str(seen),
            "AIOSV3_BENCH_INSTANCE": name if self.kind == "named" else "",
        }
        made = Worker(Running(name, [*command, str(PARTITIONS)], variables, self.folder), seen)
        self.workers.append(made)
        made.process.start()
        return made

    def open(self) -> None:
        """Two workers that have shared the partitions, and tasks on their way."""
        self.start("a")
        source, sink = OURS.topics(self.prefix, "kill")
        self.line = Line(self.bench.bootstrap, source, sink, Tasks("works", self.prefix, self.folder), PARTITIONS)
        self.start("b")
        threading.Thread(target=self._flow, daemon=True).start()
        self.settle()

    def send(self, kind: str, rounds: int, seconds: float) -> None:
        """Tasks, ``rounds`` to each partition."""
        with self.lock:
            names = [f"{kind}-{len(self.sent) + number}" for number in range(rounds * PARTITIONS)]
            self.sent += names
            for name, value in self.line.encoded(names, seconds):
                self.line.produce(name, value)

    def _flow(self) -> None:
        began, rounds = time.monotonic(), 0
        while not self.over.wait(max(0.0, began + rounds / RATE - time.monotonic())):
            self.send("s", 1, SHORT_S)
            rounds += 1

    def changes(self) -> list[Change]:
        """Of all workers, in order of time."""
        return sorted((each for worker in self.workers for each in worker.changes()), key=lambda each: each.at)

    def settle(self) -> None:
        """Until every partition has one owner, every worker has one, and nothing has moved for a while."""

        def quiet() -> bool:
            owned = [worker.owned() for worker in self.workers if not worker.gone()]
            last = max((each.at for each in self.changes() if each.mark in "ov"), default=0.0)
            whole = sum(map(len, owned)) == len(set().union(*owned)) == PARTITIONS
            return whole and all(owned) and time.time() - last > QUIET_S

        if not until(quiet, PATIENCE_S, 0.2):
            raise NotHere(f"the workers did not share the partitions in {PATIENCE_S:.0f} s")

    def happens(self, name: str, what: Callable[[], object]) -> Event:
        """With calls in flight; it is over when all is at rest."""
        self.send("c", 2, self.call_s)
        time.sleep(1.0)  # they are at work
        at = time.time()
        what()
        self.settle()
        return Event(name, at, time.time())

    def finish(self) -> dict[str, int]:
        """No more tasks; what became of all of them."""
        self.over.set()
        until(lambda: self.line.results() >= len(self.sent), PATIENCE_S + 2 * self.call_s, 0.2)
        results = Counter(name for name, _ in self.line.read())
        return {
            "tasks": len(self.sent),
            "lost": sum(1 for name in self.sent if not results[name]),
            "two_results": sum(1 for count in results.values() if count > 1),
        }


@contextmanager
def scene(bench: Bench, kind: str, call_s: float) -> Iterator[Scene]:
    """Everything ends with it."""
    with TemporaryDirectory(dir=bench.folder, ignore_cleanup_errors=True) as text:
        made = Scene(bench, kind, call_s, Path(text), bench.prefix())
        try:
            made.open()
            yield made
        finally:
            made.over.set()
            for worker in made.workers:
                worker.process.kill()
            made.line.close()


def one_round(bench: Bench, kind: str, call_s: float) -> dict[str, dict[str, float]]:
    """Name of an event -> its figures."""
    with scene(bench, kind, call_s) as made:
        third: list[Worker] = []

        def again() -> None:
            third[-1].process.kill()
            third.append(made.start("c"))

        def leaves() -> None:
            third[-1].signal(signal.SIGTERM)
            until(third[-1].gone, PATIENCE_S, 0.02)

        events = [
            made.happens("joins", lambda: third.append(made.start("c"))),
            made.happens("killed, started again", again),
            made.happens("leaves", leaves),
            made.happens("killed", made.workers[1].process.kill),
        ]
        whole = made.finish()
        results = dict(reversed(made.line.read()))
        changes = made.changes()
    found = {event.name: told(event, changes, results) for event in events}
    return {**found, "all": {name: float(value) for name, value in whole.items()}}


def tried(run: Run, kind: str, call_s: float) -> dict[str, dict[str, float]] | None:
    """A round; None where the machine was too busy for one, which is said."""
    try:
        return one_round(run.bench, kind, call_s)
    except NotHere as why:
        run.left_out[f"{kind}, a round"] = " ".join(str(why).split())[:300]
        run.log(f"{kind}, a round is left out: {run.left_out[f'{kind}, a round']}")
        return None


def summary(
    kind: str, rounds: Sequence[Mapping[str, Mapping[str, float]]], say: Callable[[str], None]
) -> dict[str, dict[str, list[float]]]:
    """Says a line for each event; all figures of all rounds."""
    found = {name: {each: [one[name][each] for one in rounds] for each in rounds[0][name]} for name in rounds[0]}
    for name, figures in found.items():
        words = ", ".join(
            f"{WORDS[each]} {median(values):.2f} s (worst {max(values):.2f})"
            if each.endswith("_s")
            else f"{WORDS[each]} {max(values):.0f}"
            for each, values in figures.items()
        )
        say(f"{kind}, a worker {name}: {words}" if name != "all" else f"{kind}, all rounds, worst: {words}")
    return found


def parsed() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", default="", help="an idle broker; default: one is started")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--call", type=float, default=40.0, metavar="SECONDS", help="of the calls in flight")
    parser.add_argument("--only", nargs="*", choices=KINDS, default=KINDS, help="workers of these kinds")
    parser.add_argument("--write", action="store_true", help="keep the result, write the page")
    parser.add_argument("--json", action="store_true", help="one document on standard output")
    return parser.parse_args()


def main() -> None:
    asked = parsed()
    say = partial(print, file=sys.stderr if asked.json else sys.stdout, flush=True)
    command = f"python bench/rebalance.py --rounds {asked.rounds} --call {asked.call:g}"
    with TemporaryDirectory(prefix="aiosv3-bench-", ignore_cleanup_errors=True) as folder:
        server = None if asked.bootstrap else KafkaServer(Path(folder) / "kafka", heap_mb=512)
        bench = Bench(asked.bootstrap if server is None else started(server), Path(folder))
        try:
            run = Run(bench, os.getpid(), "full", float("inf"), command, say)
            with run.section() as found:
                for kind in asked.only:
                    tries = (tried(run, kind, asked.call) for _ in range(asked.rounds))
                    if rounds := [each for each in tries if each is not None]:
                        found["rows"][kind] = summary(kind, rounds, say)
        finally:
            if server is not None:
                server.stop()
    found |= {"limits": LIMITS, "rounds": asked.rounds, "call_s": asked.call}
    say(f"load {found['told']['load'][0]:.1f} to {found['told']['load'][1]:.1f}")
    if asked.write:
        keep({"rebalance": found})
    if asked.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
