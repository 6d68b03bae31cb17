"""A model call as its caller sees it: straight to the endpoint, routed and durable, and by the gateways of others.

All in one run, round by round, on the same endpoint: a process of its own that answers after 50 ms. What a way adds is
its median less that of the calls straight to the endpoint.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from measures import Busy, Watch, percentile

HERE = Path(__file__).parent
DELAY_MS = 50
PATIENCE_S = 180
CALLS = {1: 60, 16: 640, 64: 2_560}
"""Callers -> calls of a round: two to three seconds of each way that adds little."""
PROJECT = """
[kafka]
bootstrap = "{bootstrap}"
prefix = "{prefix}"
partitions = 1
[pools.slow]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
model = "slow"
clearance = "restricted"
concurrency = 128
{price}
"""
PRICE = "input_usd_per_mtok = 0.15\noutput_usd_per_mtok = 0.6"


@dataclass(frozen=True, slots=True)
class Way:
    """How calls go. ``command``: of the process of callers, without how many; ``processes``: what they go through.

    ``logs``: the folder where these write what they have to say.
    """

    name: str
    command: Sequence[str]
    processes: Mapping[str, int]
    logs: Path | None = None

    def said(self) -> str:
        """The ends of its logs."""
        logs = [] if self.logs is None else sorted(self.logs.glob("*.log"))
        return "".join(f"\n--- {log.name}\n{log.read_text(encoding='utf-8', errors='replace')[-1500:]}" for log in logs)


@dataclass(slots=True)
class Found:
    """What was measured of one way with one number of callers, round by round."""

    took_ms: list[list[float]] = field(default_factory=list)
    calls_s: list[float] = field(default_factory=list)
    busy: list[Busy] = field(default_factory=list)

    def p50(self) -> list[float]:
        return [percentile(took, 0.5) for took in self.took_ms]

    def p99(self) -> list[float]:
        return [percentile(took, 0.99) for took in self.took_ms]


def python(script: str, *arguments: object) -> list[str]:
    """The command of a script of this folder."""
    return [sys.executable, str(HERE / script), *map(str, arguments)]


def script(name: str, *arguments: object) -> str:
    """Runs a script of this folder and returns what it printed."""
    done = subprocess.run(python(name, *arguments), capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return done.stdout


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed at the end."""
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def limited(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kills it when it takes far longer than the slowest way does."""
    timer = threading.Timer(PATIENCE_S, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def slow_endpoint() -> Iterator[tuple[int, int]]:
    """Port and process of the endpoint."""
    with running(python("slow_endpoint.py", DELAY_MS), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid


def direct(port: int) -> Way:
    """Nothing between caller and endpoint."""
    return Way("direct", python("callers.py", "http", f"http://127.0.0.1:{port}/v1/chat/completions"), {})


@contextmanager
def ours(bootstrap: str, port: int, *, priced: bool) -> Iterator[Way]:
    """A router and a model worker, each a process as ``aiosv3 worker`` starts it, in a mesh of its own."""
    name = "aiosv3, priced" if priced else "aiosv3"
    prefix = f"{'priced' if priced else 'free'}-{uuid.uuid4().hex[:8]}."
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aiosv3-bench-")))
        project = folder / "aiosv3.toml"
        text = PROJECT.format(bootstrap=bootstrap, prefix=prefix, port=port, price=PRICE if priced else "")
        project.write_text(text, encoding="utf-8")
        worker = [sys.executable, "-m", "aiosv3.app", "worker"]
        parts = {}
        for role in (["router"], ["pool", "slow"]):
            log = stack.enter_context((folder / f"{role[0]}.log").open("w", encoding="utf-8"))
            started = running([*worker, *role, "-p", str(project)], stdout=log, stderr=log)
            parts[role[0]] = stack.enter_context(started).pid
        yield Way(name, python("callers.py", "mesh", bootstrap, prefix), parts, folder)


def found(lines: Iterable[str], start: str) -> str:
    """The first line that begins so; nothing where there is none. A peer's libraries may say things of their own."""
    return next((line for line in lines if line.startswith(start)), "")


def one(way: Way, callers: int, calls: int, besides: Mapping[str, int]) -> tuple[dict[str, Any], Busy]:
    """One round of one way. Raises SystemExit with what the callers said where they fail."""
    command = [*way.command, str(callers), str(calls)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with running(command, **pipes) as process, limited(process):
        assert process.stdout is not None
        assert process.stdin is not None
        if not found(process.stdout, "ready"):
            raise SystemExit(f"{way.name}: the callers did not begin{way.said()}")
        watch = Watch({"callers": process.pid, **way.processes, **besides})
        process.stdin.write("\n")
        process.stdin.flush()
        answer = found(process.stdout, "{")
        busy = watch.report()
        if not answer:
            raise SystemExit(f"{way.name}: the callers of {callers} at once failed{way.said()}")
        return json.loads(answer), busy


def rounds(
    ways: Sequence[Way],
    count: int,
    besides: Mapping[str, int],
    share: float = 1.0,
    between: Callable[[int], None] = lambda _: None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """For each number of callers: all ways in turn, ``count`` times, and then a row of each.

    ``between``: called in each round with the number of callers, to measure something else under the same conditions.
    """
    for callers, calls in CALLS.items():
        kept = {way.name: Found() for way in ways}
        for number in range(count):
            between(callers)
            for way in ways if number % 2 == 0 else list(reversed(ways)):
                answer, busy = one(way, callers, max(callers, round(calls * share)), besides)
                each = kept[way.name]
                each.took_ms.append(answer["took_ms"])
                each.calls_s.append(answer["calls_s"])
                each.busy.append(busy)
        yield callers, {name: row(each, kept["direct"]) for name, each in kept.items()}


def row(way: Found, bare: Found) -> dict[str, Any]:
    """The figures of a way: medians of its rounds, and what it adds to the calls that go straight, round by round.

    ``added_p99_ms``: the slowest hundredth of it over the median of those.
    """
    added = [one - other for one, other in zip(way.p50(), bare.p50(), strict=True)]
    slowest = [one - other for one, other in zip(way.p99(), bare.p50(), strict=True)]
    calls = [len(took) for took in way.took_ms]
    cpu = {
        name: round(median(b.cpu[name] / n * 1e3 for b, n in zip(way.busy, calls, strict=True)), 3)
        for name in way.busy[0].cpu
    }
    return {
        "added_p50_ms": round(median(added), 2),
        "added_p50_ms_rounds": [round(each, 2) for each in added],
        "added_p99_ms": round(median(slowest), 2),
        "p50_ms": round(median(way.p50()), 2),
        "p99_ms": round(median(way.p99()), 2),
        "calls_s": round(median(way.calls_s), 1),
        "cpu_ms_a_call": cpu,
        "load": [round(each, 2) for busy in way.busy for each in busy.load],
        "others_share": round(max(busy.others for busy in way.busy), 3),
    }


def lines(callers: int, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The rows as people read them."""
    for name, figures in rows.items():
        cpu = figures["cpu_ms_a_call"]
        parts = ", ".join(f"{part} {value:.2f}" for part, value in cpu.items())
        load = f"load {min(figures['load']):.1f}-{max(figures['load']):.1f}, others {figures['others_share']:.0%}"
        yield (
            f"{callers:>3} callers  {name:15} adds p50 {figures['added_p50_ms']:7.2f} ms; "
            f"p50 {figures['p50_ms']:6.1f}, p99 {figures['p99_ms']:6.1f}; {figures['calls_s']:6.1f} calls/s; "
            f"CPU ms a call {sum(cpu.values()):.2f} ({parts}); {load}"
        )
