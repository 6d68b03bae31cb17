"""What the benchmarks of the router have in common: percentiles, pairs, and how busy the machine was meanwhile."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiosv3.app.localstack.kafka import KafkaServer

TICKS = os.sysconf("SC_CLK_TCK")


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which ``share`` of the values lie; of no values, not a number."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of several runs, and the runs that lie furthest from it."""

    median: float
    least: float
    most: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Of one run at least."""
        return Spread(statistics.median(values), min(values), max(values))

    def words(self, digits: int = 2) -> str:
        """``1.50 (1.43-1.61)``."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}-{self.most:.{digits}f})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours over theirs, pair by pair: what a neighbour on the machine takes, it takes from both."""
    return Spread.of([one / other for one, other in zip(ours, theirs, strict=True)])


def busy_seconds(stat: str) -> float:
    """Processor time that all processes together have had since the start, from the text of ``/proc/stat``."""
    user, nice, system, _idle, _wait, irq, soft, stolen = map(int, stat.splitlines()[0].split()[1:9])
    return (user + nice + system + irq + soft + stolen) / TICKS


def process_seconds(stat: str) -> float:
    """Processor time of one process, its dead and waited-for children included, from ``/proc/PID/stat``."""
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def parent_of(stat: str) -> int:
    """The parent's id, from ``/proc/PID/stat``."""
    return int(stat.rpartition(")")[2].split()[1])


def families(roots: Mapping[str, int], parents: Mapping[int, int]) -> dict[str, set[int]]:
    """The processes that descend from each root, the root with them. ``parents``: id -> parent's id."""
    found = {name: {root} for name, root in roots.items()}
    for members in found.values():
        while more := {each for each, parent in parents.items() if parent in members} - members:
            members.update(more)
    return found


def _stat(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:  # it has gone, or there is no /proc on this system
        return ""


class Watch:
    """Processor time of named processes, and of everybody else, from its making to :meth:`report`.

    Where there is no ``/proc`` only the load average is told.
    """

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = dict(roots)
        self._load = os.getloadavg()[0]
        self._began = time.monotonic()
        self._before = self._times()
        self._busy = self._all()

    @staticmethod
    def _all() -> float:
        place = Path("/proc/stat")
        return busy_seconds(place.read_text(encoding="ascii")) if place.exists() else 0.0

    def _times(self) -> dict[str, float]:
        here = [int(each.name) for each in Path("/proc").glob("[0-9]*")] if Path("/proc/stat").exists() else []
        stats = {process: text for process in here if (text := _stat(process))}
        parents = {process: parent_of(text) for process, text in stats.items()}
        own = families(self._roots, parents)
        return {name: sum(process_seconds(stats[p]) for p in ids if p in stats) for name, ids in own.items()}

    def report(self) -> Busy:
        """What happened since."""
        wall = time.monotonic() - self._began
        after = self._times()
        used = {name: after[name] - self._before.get(name, 0.0) for name in after}
        cores = os.cpu_count() or 1
        others = max(0.0, self._all() - self._busy - sum(used.values())) / (wall * cores)
        return Busy((self._load, os.getloadavg()[0]), wall, used, others)


@dataclass(frozen=True, slots=True)
class Busy:
    """``load``: one-minute averages before and after. ``cpu``: seconds by name. ``others``: their share of all cores.

    The kernel's own work for the network counts among the others': a quiet machine shows a few percent.
    """

    load: tuple[float, float]
    wall: float
    cpu: dict[str, float]
    others: float

    def words(self) -> str:
        """``load 1.2 to 1.9, others 7%``."""
        return f"load {self.load[0]:.1f} to {self.load[1]:.1f}, others {self.others:.0%}"


def started(server: KafkaServer) -> str:
    """Its address. Ends the process with one sentence where no broker can be had."""
    from aiosv3.app.localstack.errors import LocalStackError

    try:
        return server.start()
    except LocalStackError as why:
        raise SystemExit(f"no broker can be started here, and nothing more be measured without one: {why}") from None


def report(
    measured: Callable[[Callable[[str], None]], Iterable[tuple[str, Any]]],
    limits: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Runs ``measured``, which says its lines as it goes; with ``as_json`` prints one document at the end instead."""
    machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "python": sys.version.split()[0]}

    def say(line: str) -> None:
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)

    say(f"{machine['cores']} cores, load {machine['load']}, Python {machine['python']}")
    found = dict(measured(say))
    if as_json:
        print(json.dumps({"machine": machine, "limits": limits, **found}, indent=2))
