"""``make bench-peers``: everything beside others in one run, kept as results, written as a page."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from beside import scale, steps, stream
from beside.contenders import CONTENDERS, OURS, Contender
from beside.pages import blocks_of, plots_of, put
from beside.stream import Bench, Sizes, merged
from beside.systems import SYSTEMS
from measures import Watch, started
from peers import NotHere

from aiosv3.app.localstack.distribution import KAFKA_VERSION
from aiosv3.app.localstack.kafka import KafkaServer

ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = Path(__file__).parent / "results.json"
PAGE: Final = ROOT / "docs" / "benchmarks.md"
SECTIONS: Final = ("workers", "stream", "steps")
MINUTES: Final = {"full": 15.0, "quick": 4.0, "tiny": 4.0}
SHARES: Final = {"workers": 0.17, "stream": 0.5, "steps": 0.33}
"""Of the time: what a section leaves over is the next one's."""
AT_ONCE: Final = {"full": 1, "quick": 3, "tiny": 3}
"""Kills at the same time: those that share the cores come back later."""
KEY_ROUNDS: Final = 10
ROUNDS: Final = {"full": 2, "quick": 1, "tiny": 1}


@dataclass(slots=True)
class Run:
    """One run: what it measures on, how much, until when, and what it says meanwhile."""

    bench: Bench
    broker: int
    kind: str
    until: float
    command: str
    log: Callable[[str], None]
    left_out: dict[str, str] = field(default_factory=dict)

    def try_(self, who: str, what: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """The figures, or None with a reason where they cannot be had or the time is over."""
        if time.monotonic() > self.until:
            self.left_out.setdefault(f"{who}, {what}", "the time of the run was over")
            return None
        began = time.monotonic()
        try:
            found = {name: None if value != value else value for name, value in measure().items()}
        except NotHere as why:
            reason = " ".join(str(why).split())[:300]
            self.left_out[f"{who}, {what}"] = reason
            self.log(f"{who}, {what}: {reason}")
            return None
        words = ", ".join(f"{name} {value:.4g}" for name, value in found.items() if value is not None)
        self.log(f"{who}, {what}: {words} ({time.monotonic() - began:.0f} s)")
        return found

    @contextmanager
    def section(self) -> Iterator[dict[str, Any]]:
        """A section's results, with what was true of the machine meanwhile."""
        self.left_out = {}
        section: dict[str, Any] = {"told": {}, "rows": {}, "left_out": self.left_out}
        watch, began = Watch({"bench": os.getpid(), "broker": self.broker}), time.monotonic()
        yield section
        busy = watch.report()
        section["told"] = {
            **machine(),
            "command": self.command,
            "minutes": (time.monotonic() - began) / 60,
            "load": busy.load,
            "others_share": busy.others,
        }


def machine() -> dict[str, Any]:
    """What the figures were seen on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": os.cpu_count(),
        "cpu": next((line.partition(": ")[2] for line in lines if line.startswith("model name")), os.uname().machine),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": sys.version.split()[0],
        "kafka": KAFKA_VERSION,
        "confluent": version("confluent-kafka"),
    }


def streams(run: Run, only: Sequence[str] | None) -> dict[str, Any]:
    """The runtime beside others: first what would be missed most, last the no-op round that repeats the first."""
    sizes = Sizes.of(run.kind)
    who = [each for each in CONTENDERS if wanted(each.name, only)]
    with run.section() as found:
        rows: dict[str, Any] = {each.name: {"version": each.version, "note": each.note} for each in who}
        rounds = {each.name: [run.try_(each.name, "no-op", _noop(run, each, sizes))] for each in who}
        with ThreadPoolExecutor(AT_ONCE[run.kind]) as pool:
            kills = [partial(stream.killed, run.bench, each, sizes.kill_s) for each in who]
            for each, seen in zip(who, pool.map(lambda e, k: run.try_(e.name, "kill -9", k), who, kills), strict=True):
                rows[each.name] |= {"kill": seen} if seen else {}
        for each in who:
            _concurrent(run, each, sizes, rows[each.name])
        for each in reversed(who) if ROUNDS[run.kind] > 1 else ():
            if time.monotonic() < run.until:
                rounds[each.name].append(run.try_(each.name, "no-op", _noop(run, each, sizes)))
        for name, seen_ in rounds.items():
            known = [each for each in seen_ if each]
            rows[name] |= {"noop": merged(known)} if known else {}
        found["rows"] = {name: row for name, row in rows.items() if row.keys() & {"noop", "waiting", "keyed", "kill"}}
    return found


def _noop(run: Run, contender: Contender, sizes: Sizes) -> Callable[[], dict[str, Any]]:
    return partial(stream.quick_tasks, run.bench, contender, sizes)


def _concurrent(run: Run, contender: Contender, sizes: Sizes, row: dict[str, Any]) -> None:
    """Tasks that wait, and tasks in the order of their keys, where it does many at once."""
    for count in sizes.in_flight if contender.parallel else ():
        waiting = partial(stream.waiting, run.bench, contender, count, sizes.rounds)
        seen = run.try_(contender.name, f"{count:,} at once", waiting)
        row.setdefault("waiting", {}).update({str(count): seen} if seen else {})
    if contender.ordered:
        keyed = partial(stream.keyed, run.bench, contender, sizes.keys, KEY_ROUNDS)
        seen = run.try_(contender.name, f"{sizes.keys:,} keys", keyed)
        row |= {"keyed": seen} if seen else {}


def durable(run: Run, only: Sequence[str] | None) -> dict[str, Any]:
    """Durable steps beside others."""
    sizes = steps.StepSizes.of(run.kind)
    with run.section() as found:
        for each in SYSTEMS:
            if not wanted(each.name, only):
                continue
            row: dict[str, Any] = {"version": each.version, "note": each.note, "keeps": each.keeps}
            speed = run.try_(each.name, "speed", lambda e=each: steps.measured(run.bench, run.broker, e, sizes))  # type: ignore[misc]
            kill = run.try_(each.name, "kill -9", lambda e=each: steps.killed(run.bench, run.broker, e, sizes))  # type: ignore[misc]
            row |= ({"speed": speed} if speed else {}) | ({"kill": kill} if kill else {})
            if speed or kill:
                found["rows"][each.name] = row
    return found


def processes(run: Run, _only: Sequence[str] | None) -> dict[str, Any]:
    """Throughput against workers."""
    with run.section() as found:
        for count in scale.WORKERS[run.kind]:
            seen = run.try_(
                OURS.name,
                f"{count} workers",
                lambda n=count: scale.throughput(run.bench, run.broker, n, scale.SECONDS[run.kind]),  # type: ignore[misc]
            )
            found["rows"] |= {str(count): seen} if seen else {}
    return found


def wanted(name: str, only: Sequence[str] | None) -> bool:
    """Whether it was asked for: by the beginning of its name; everything is where nothing was named."""
    return not only or any(name.lower().startswith(each.lower()) for each in only)


def install(sections: Sequence[str], only: Sequence[str] | None) -> None:
    """Everybody who is missing, before the time of the run begins. Who cannot be had is left out later, with words."""
    who = [*(CONTENDERS if "stream" in sections else ()), *(SYSTEMS if "steps" in sections else ())]
    for each in who:
        if wanted(each.name, only):
            with suppress(NotHere):
                each.place.interpreter()


def write(results: Mapping[str, Any], page: Path = PAGE) -> list[Path]:
    """Keeps plots and page; what was written."""
    written = []
    (page.parent / "img").mkdir(exist_ok=True)
    for name, text in plots_of(results).items():
        written.append(page.parent / "img" / name)
        written[-1].write_text(text, encoding="utf-8")
    page.write_text(put(page.read_text(encoding="utf-8"), blocks_of(results)), encoding="utf-8")
    return [*written, page]


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=SECTIONS, help="these sections")
    parser.add_argument("--peers", nargs="*", metavar="NAME", help="these alone, by the beginnings of their names")
    sizes = parser.add_mutually_exclusive_group()
    for kind, words in (("quick", "a quarter of the work, in four minutes"), ("tiny", "to try the benchmark itself")):
        sizes.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, default="full", help=words)
    parser.add_argument("--minutes", type=float, help="the run begins nothing after these; 15, quick 4")
    parser.add_argument("--write", action="store_true", help="keep the results, write page and plots")
    parser.add_argument("--page", action="store_true", help="measure nothing: write page and plots from what is kept")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser.parse_args(arguments)


def kept() -> dict[str, Any]:
    """The results of earlier runs."""
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    return found


def keep(found: Mapping[str, Any], *, partly: bool = False) -> None:
    """Sections that were measured replace those before them; ``partly``: their rows do, the other rows stay."""
    before = kept()
    now = {**before, **{name: added(before.get(name), new) if partly else new for name, new in found.items()}}
    RESULTS.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    write(now)


def added(before: Mapping[str, Any] | None, new: Mapping[str, Any]) -> Mapping[str, Any]:
    """A section with these rows in place of its own; each says that it was measured in another run than the rest."""
    if before is None:
        return new
    told = new["told"]
    words = f"measured in a run of its own ({told['date']}, load {told['load'][0]:.1f} to {told['load'][1]:.1f})"
    rows = {name: {**row, "note": f"{row['note']}; {words}"} for name, row in new["rows"].items()}
    left = {name: why for name, why in before["left_out"].items() if name.partition(", ")[0] not in rows}
    order = [each.name for each in (*CONTENDERS, *SYSTEMS)]
    both = {**before["rows"], **rows}
    sorted_ = dict(sorted(both.items(), key=lambda item: order.index(item[0]) if item[0] in order else 0))
    return {**before, "rows": sorted_, "left_out": {**left, **new["left_out"]}}


def main(arguments: Sequence[str] | None = None) -> None:
    asked = parsed(arguments)
    if asked.page:
        print("\n".join(str(path.relative_to(ROOT)) for path in write(kept())))
        return
    measure = {"stream": streams, "steps": durable, "workers": processes}
    command = " ".join(["python bench/peers_bench.py", *(arguments if arguments is not None else sys.argv[1:])])

    def log(line: str) -> None:
        print(line, file=sys.stderr if asked.json else sys.stdout, flush=True)

    found: dict[str, Any] = {}
    with TemporaryDirectory(prefix="aiosv3-bench-", ignore_cleanup_errors=True) as folder:
        server = KafkaServer(Path(folder) / "kafka", heap_mb=512)
        bench = Bench(started(server), Path(folder))
        process = server.process()
        assert process is not None
        try:
            only = asked.only or SECTIONS
            install(only, asked.peers)
            run = Run(bench, process.pid, asked.kind, time.monotonic(), command, log)
            whole = sum(SHARES[name] for name in only)
            for name in (each for each in SECTIONS if each in only):
                run.until += (asked.minutes or MINUTES[asked.kind]) * 60 * SHARES[name] / whole
                section = measure[name](run, asked.peers)
                found |= {name: section} if section["rows"] else {}
        finally:
            server.stop()
    if asked.write:
        keep(found, partly=bool(asked.peers))
    if asked.json:
        print(json.dumps(found, indent=1))
