"""``make soak``: memory of one worker under a steady load of 80 % of what it can do, for twenty minutes.

    python bench/soak.py [--minutes 20] [--share 0.8] [--write] [--json]

First its capacity is measured, with the same tasks: a step of 50 ms each. ``--write`` keeps the result for the page.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from beside.command import Run, keep
from beside.contenders import OURS
from beside.places import Running, memory_mb, until
from beside.stream import Bench, done
from beside.traffic import Line
from measures import started
from peers import NotHere

from aiosv3.app.localstack.kafka import KafkaServer

STEP_S: Final = 0.05
AT_ONCE: Final = 200
PROBE: Final = 1_500
EVERY_S: Final = 2.0


def capacity(line: Line, process: Running) -> float:
    """Tasks a second that come back when more are waiting than it can do; the second of two tries."""
    found = 0.0
    for number in range(2):
        before = line.results()
        began = time.perf_counter()
        line.send([f"probe-{number}-{each}" for each in range(PROBE)], STEP_S)
        done(line, before + PROBE, 300, process)
        found = PROBE / (time.perf_counter() - began)
    return found


def steady(line: Line, process: Running, rate: float, seconds: float) -> tuple[int, list[tuple[float, float]]]:
    """Sends at a rate; how many, and what the worker's memory was: seconds, MiB."""
    assert process.process is not None
    points: list[tuple[float, float]] = []
    sent, began = 0, time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        while sent < rate * now:
            line.produce(*line.encoded([f"task-{sent}"], STEP_S)[0])
            sent += 1
        if not points or now - points[-1][0] >= EVERY_S:
            points.append((round(now, 1), round(memory_mb(process.process.pid), 2)))
        time.sleep(0.005)
    return sent, points


def summary(points: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Of the second tenth of the time (the first one fills caches) and of the last one."""
    end = points[-1][0]
    sizes = {
        "first_mb": median(size for at, size in points if end * 0.1 <= at <= end * 0.2),
        "last_mb": median(size for at, size in points if at >= end * 0.9),
        "least_mb": min(size for at, size in points if at >= end * 0.1),
        "most_mb": max(size for at, size in points if at >= end * 0.1),
    }
    return {**sizes, "growth": sizes["last_mb"] / sizes["first_mb"] - 1}


def soak(bench: Bench, minutes: float, share: float) -> dict[str, Any]:
    """One row. Raises :class:`NotHere` when the worker ends or nothing comes back."""
    with bench.at_work(OURS, "kill", AT_ONCE) as (line, process):
        able = capacity(line, process)
        before = line.results()
        sent, points = steady(line, process, able * share, minutes * 60)
        until(lambda: line.results() - before >= sent, 120, 0.2)
        missing = sent - (line.results() - before)
    return {
        "minutes": minutes,
        "tasks": sent,
        "rate": able * share,
        "share": share,
        "capacity": able,
        "missing": missing,
        **summary(points),
        "memory_mb": points,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--share", type=float, default=0.8, help="of its capacity")
    parser.add_argument("--write", action="store_true", help="keep the result, write page and plot")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="aiosv3-bench-", ignore_cleanup_errors=True) as folder:
        server = KafkaServer(Path(folder) / "kafka", heap_mb=512)
        bench = Bench(started(server), Path(folder))
        process = server.process()
        assert process is not None
        try:
            command = f"python bench/soak.py --minutes {asked.minutes:g} --share {asked.share:g}"
            run = Run(bench, process.pid, "full", float("inf"), command, print)
            with run.section() as section:
                row = soak(bench, asked.minutes, asked.share)
        except NotHere as why:
            raise SystemExit(str(why)) from None
        finally:
            server.stop()
    found = {**section, **row, "rows": {"AIOSv3": {}}}
    if asked.write:
        keep({"soak": found})
    few = {name: value for name, value in row.items() if name != "memory_mb"}
    print(
        json.dumps(found, indent=1) if asked.json else "\n".join(f"{name} {value:.6g}" for name, value in few.items())
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
