"""Throughput against worker processes: tasks that wait for something of which each process has only so much."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from beside.contenders import OURS
from beside.places import Running, tree_seconds, until
from beside.stream import Bench
from beside.traffic import Line, Tasks
from peers import NotHere

WORKERS: Final = {"full": (1, 2, 4, 8), "quick": (1, 2, 4, 8), "tiny": (1, 2)}
SECONDS: Final = {"full": 10.0, "quick": 5.0, "tiny": 2.0}
PARTITIONS: Final = 16
CONNECTIONS: Final = 50
WAIT_S: Final = 0.5


def throughput(bench: Bench, broker: int, workers: int, seconds: float) -> dict[str, Any]:
    """Each process has 50 connections, each task holds one for half a second: 100 tasks/s a process at best."""
    prefix = bench.prefix()
    source, sink = OURS.topics(prefix, "pool")
    ideal = workers * CONNECTIONS / WAIT_S
    count = int(ideal * seconds)
    with TemporaryDirectory(dir=bench.folder) as text, ExitStack() as stack:
        folder = Path(text)
        command = OURS.command(bench.bootstrap, prefix, "pool", 1_000, PARTITIONS)
        variables = {**OURS.environment, "AIOSV3_BENCH_STATE": text, "AIOSV3_BENCH_CONNECTIONS": str(CONNECTIONS)}
        names = [f"worker-{number}" for number in range(workers)]
        members = [Running(name, command, {**variables, "AIOSV3_BENCH_INSTANCE": name}, folder) for name in names]
        for each in members:
            stack.callback(each.kill)
            _begun(each)
        line = Line(bench.bootstrap, source, sink, Tasks("pooled", prefix, folder), PARTITIONS)
        stack.callback(line.close)
        _shared(line, members)
        warm, ready = line.results(), line.encoded([f"task-{number}" for number in range(count)], WAIT_S)
        cpu, stack_cpu, began = _cpu(members), tree_seconds(broker), time.perf_counter()
        for name, value in ready:
            line.produce(name, value)
        if not until(lambda: line.results() - warm >= count, 60 + 4 * seconds):
            raise NotHere(f"{line.results() - warm} of {count} results")
        took = time.perf_counter() - began
        used = _cpu(members) - cpu
    busy = (used + tree_seconds(broker) - stack_cpu) / took
    return {
        "tasks_s": count / took,
        "ideal_s": ideal,
        "cpu_us": used / count * 1e6,
        "cores": busy,
        "of_cores": float(os.cpu_count() or 1),
    }


def _begun(worker: Running) -> None:
    """On a busy machine leaders of new partitions may come later than a worker waits for: it is started again then."""
    try:
        worker.start()
    except NotHere:
        worker.kill()
        worker.start()


def _cpu(members: list[Running]) -> float:
    return sum(each.cpu() for each in members)


def _shared(line: Line, members: list[Running]) -> None:
    """Until the group has settled: every process has done something of a handful of tasks."""
    deadline, number = time.monotonic() + 60, 0
    before = [each.cpu() for each in members]
    while time.monotonic() < deadline:
        line.send([f"warm-{number}-{place}" for place in range(PARTITIONS * 4)], 0.01)
        number += 1
        wanted = PARTITIONS * 4 * number
        until(lambda count=wanted: line.results() >= count, 30)
        if number >= 3 and all(each.cpu() - was > 0.02 for each, was in zip(members, before, strict=True)):
            return
    raise NotHere("the workers did not share the partitions in a minute")
