"""The runtime beside other stream runtimes: the same bytes in, the same work, measured from outside."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from beside.accounts import account, marks_of
from beside.contenders import MODES, Contender
from beside.places import Running, until
from beside.traffic import Line, Tasks, create
from measures import percentile
from peers import NotHere

WARM = 200
WAIT_S = 0.5
KEYED_S = 0.1
KILL_WAIT_S = 0.1
KILL_AT_ONCE = 50
KILL_AT = 0.6
"""Share of the results at which it comes: later than each peer has committed for the first time by itself (5 s)."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much work: ``tasks`` without a pause, ``rate`` a second for ``seconds``, ``in_flight`` with ``rounds`` of
    each, ``keys`` in order, and ``kill_s`` seconds of work in which the kill comes in the middle."""

    tasks: int
    rate: float
    seconds: float
    in_flight: tuple[int, ...]
    rounds: int
    keys: int
    kill_s: float

    @staticmethod
    def of(kind: str) -> Sizes:
        """``full``, ``quick``, or ``tiny``, which is for trying the benchmark itself."""
        return {
            "full": Sizes(20_000, 100, 8, (1_000, 5_000), 4, 1_000, 10),
            "quick": Sizes(8_000, 100, 3, (1_000, 5_000), 2, 1_000, 10),
            "tiny": Sizes(500, 100, 1, (100,), 2, 100, 4),
        }[kind]


@dataclass(slots=True)
class Bench:
    """A broker, a folder for logs, and names that were not used before."""

    bootstrap: str
    folder: Path
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def prefix(self) -> str:
        """Of topics of their own."""
        return f"beside{next(self.numbers)}."

    @contextmanager
    def at_work(
        self, contender: Contender, mode: str, concurrency: int, partitions: int = 1, **environment: str
    ) -> Iterator[tuple[Line, Running]]:
        """A contender that is ready, and its line. Raises :class:`NotHere`."""
        prefix = self.prefix()
        source, sink = contender.topics(prefix, mode)
        if not contender.ours:
            create(self.bootstrap, partitions, source, sink)
        with TemporaryDirectory(dir=self.folder) as text:
            folder = Path(text)
            command = contender.command(self.bootstrap, prefix, mode, concurrency, partitions)
            names = {"AIOSV3_BENCH_STATE": text, "AIOSV3_BENCH_INSTANCE": "worker-0"}
            variables = {**contender.environment, **names, **environment}
            process = Running(contender.script.removesuffix(".py"), command, variables, folder)
            try:
                process.start()
                line = Line(self.bootstrap, source, sink, Tasks(MODES[mode], prefix, folder), partitions)
                try:
                    yield line, process
                finally:
                    line.close()
            finally:
                process.kill()


def keyed(bench: Bench, contender: Contender, keys: int, rounds: int) -> dict[str, Any]:
    """Tasks of a tenth of a second, one of each key at a time: tasks a second over keys by latency."""
    total = keys * rounds
    with bench.at_work(contender, "keys", 2 * keys) as (line, process):
        line.send(["first"], KEYED_S)
        done(line, 1, 60, process)
        ready = line.encoded([f"task-{number}" for number in range(total)], KEYED_S)
        cpu, began = process.cpu(), time.perf_counter()
        for number, (name, value) in enumerate(ready):
            line.produce(name, value, f"key-{number % keys}")
        done(line, 1 + total, 120, process)
        took, used = time.perf_counter() - began, process.cpu() - cpu
    return {"efficiency": KEYED_S * rounds / took, "tasks_s": total / took, "cpu_us": used / total * 1e6}


def done(line: Line, wanted: int, seconds: float, who: Running) -> None:
    """Waits for so many results. Raises :class:`NotHere` with what the process said when they do not come."""
    if not until(lambda: line.results() >= wanted, seconds):
        raise NotHere(f"{who.name}: {line.results()} of {wanted} results after {seconds:.0f} s: {who.said()}")


def quick_tasks(bench: Bench, contender: Contender, sizes: Sizes) -> dict[str, Any]:
    """Tasks that do nothing: how many a second, at which processor time, and how late at a modest rate."""
    with bench.at_work(contender, "noop", 1_000 if contender.ours else 0) as (line, process):
        line.send([f"warm-{number}" for number in range(WARM)])
        done(line, WARM, 60, process)
        cpu, began = process.cpu(), time.perf_counter()
        line.send([f"task-{number}" for number in range(sizes.tasks)])
        done(line, WARM + sizes.tasks, 120, process)
        took, used = time.perf_counter() - began, process.cpu() - cpu
        names = [f"late-{number}" for number in range(int(sizes.rate * sizes.seconds))]
        late = line.latencies(names, sizes.rate)
    return {
        "tasks_s": sizes.tasks / took,
        "cpu_us": used / sizes.tasks * 1e6,
        "p50_ms": percentile(late, 0.5),
        "p99_ms": percentile(late, 0.99),
        "missing": len(names) - len(late),
    }


def waiting(bench: Bench, contender: Contender, at_once: int, rounds: int) -> dict[str, Any]:
    """Tasks that wait half a second, never more than so many without a result: ideal time over time taken."""
    total = at_once * rounds
    with bench.at_work(contender, "wait", at_once) as (line, process):
        line.send(["first"], 0.01)
        done(line, 1, 60, process)
        ready = line.encoded([f"task-{number}" for number in range(total)], WAIT_S)
        cpu, began = process.cpu(), time.perf_counter()
        sent, ended, deadline = 0, 0, began + 120
        while ended < total and time.perf_counter() < deadline:
            for name, value in ready[sent : min(total, ended + at_once)]:
                line.produce(name, value)
                sent += 1
            time.sleep(0.003)
            ended = line.results() - 1
        took, used = time.perf_counter() - began, process.cpu() - cpu
    if ended < total:
        raise NotHere(f"{contender.name}: {ended} of {total} results after 120 s")
    return {"efficiency": WAIT_S * rounds / took, "cpu_us": used / total * 1e6}


def killed(bench: Bench, contender: Contender, seconds: float) -> dict[str, Any]:
    """kill -9 in the middle, and a start again; the first task takes as long as all others together."""
    at_once = KILL_AT_ONCE if contender.parallel else 1
    many = int(at_once * seconds / KILL_WAIT_S)
    head = seconds if contender.parallel else 1.0
    with TemporaryDirectory(dir=bench.folder) as text:
        seen = Path(text) / "seen"
        seen.touch()
        with bench.at_work(contender, "kill", at_once, AIOSV3_BENCH_SEEN=str(seen)) as (line, process):
            names = [f"task-{number}" for number in range(many)]
            line.send(names, [head, *[KILL_WAIT_S] * (many - 1)])
            done(line, int(many * KILL_AT), 60 + 4 * seconds, process)
            at = time.time()
            process.kill()
            again = time.time()
            process.start()
            _settled(line, many, 30 + 3 * seconds, 10 + head)
            found = account(names, line.read(), marks_of(seen.read_text(encoding="ascii")), at)
    return {**asdict(found), "tasks": many, "restart_s": again - at}


def _settled(line: Line, wanted: int, seconds: float, patience: float) -> None:
    """Until all tasks have a result, nothing has come for ``patience`` seconds, or the time is over."""
    deadline, last, since = time.monotonic() + seconds, -1, time.monotonic()
    while time.monotonic() < deadline:
        found = line.read()
        if len(found) != last:
            last, since = len(found), time.monotonic()
        whole = len({name for name, _ in found}) >= wanted
        if time.monotonic() - since > (2.0 if whole else patience):
            return
        time.sleep(0.1)


def merged(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure."""
    from statistics import median

    return {
        name: median(values) if not any(math.isnan(value) for value in values) else float("nan")
        for name in rounds[0]
        if (values := [each[name] for each in rounds])
    }
