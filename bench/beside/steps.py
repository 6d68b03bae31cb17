"""Durable steps beside other engines: the same three steps of 1 KiB, asked for in the same way."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from beside.accounts import Mark, marks_of, step_account
from beside.places import until
from beside.stream import Bench
from beside.systems import Deployed, Scene, System
from measures import Watch, percentile
from peers import NotHere

PATIENCE_S = 150.0


@dataclass(frozen=True, slots=True)
class StepSizes:
    """Workflows one after the other, ``at_once`` at once, and in a flood of which half is done at the kill."""

    sequential: int
    together: int
    at_once: int
    flood: int

    @staticmethod
    def of(kind: str) -> StepSizes:
        """See :meth:`Sizes.of`."""
        return {
            "full": StepSizes(200, 1_000, 50, 400),
            "quick": StepSizes(60, 300, 50, 200),
            "tiny": StepSizes(10, 40, 10, 40),
        }[kind]


@contextmanager
def deployed(bench: Bench, broker: int, system: System) -> Iterator[tuple[Deployed, Path]]:
    """The system, ready, and the file where its steps leave their marks. Raises :class:`NotHere`."""
    with TemporaryDirectory(dir=bench.folder, ignore_cleanup_errors=True) as text:
        folder = Path(text)
        seen = folder / "seen"
        seen.touch()
        environment = {"AIOSV3_BENCH_SEEN": str(seen), "AIOSV3_BENCH_STATE": text, "AIOSV3_BENCH_INSTANCE": "worker-0"}
        scene = Scene(bench.bootstrap, broker, folder, bench.prefix(), environment)
        with system.deploy(system.place, scene) as made:
            yield made, seen


def asked(made: Deployed, command: str) -> dict[str, Any]:
    """A command and its answer."""
    made.asker.tell(command)
    answer: dict[str, Any] = json.loads(made.asker.line(PATIENCE_S))
    return answer


def measured(bench: Bench, broker: int, system: System, sizes: StepSizes) -> dict[str, Any]:
    """Latency one after the other, throughput with many at once, processor time of all that takes part."""
    with deployed(bench, broker, system) as (made, _):
        asked(made, f"together {min(50, sizes.together)} 5")
        took = asked(made, f"sequential {sizes.sequential}")["took_ms"]
        watch = Watch(made.processes())
        many = asked(made, f"together {sizes.together} {sizes.at_once}")
        used = watch.report().cpu
    return {
        "p50_ms": percentile(took, 0.5),
        "p99_ms": percentile(took, 0.99),
        "workflows_s": len(many["took_ms"]) / many["seconds"],
        "cpu_ms": sum(used.values()) / len(many["took_ms"]) * 1e3,
    }


def killed(bench: Bench, broker: int, system: System, sizes: StepSizes) -> dict[str, Any]:
    """kill -9 of the worker when half of the workflows are done, and a start again."""
    with deployed(bench, broker, system) as (made, seen):
        made.asker.tell(f"flood {sizes.flood} {sizes.at_once}")
        if not until(lambda: _through(seen) >= sizes.flood // 2, PATIENCE_S):
            raise NotHere(
                f"{_through(seen)} of {sizes.flood} workflows done in {PATIENCE_S:.0f} s: {made.asker.said()}"
            )
        at = time.time()
        made.worker.kill()
        made.worker.start()
        ready = time.time()
        wanted = asked_for(seen.read_text(encoding="ascii"), sizes.flood)
        if made.inside:
            made.asker.tell(f"resume {wanted} 30")
        done = json.loads(made.asker.line(2 * PATIENCE_S))["done"]
        whole = time.time()
        found = step_account(wanted, done, marks_of(seen.read_text(encoding="ascii")), at)
    return {**asdict(found), "workflows": wanted, "ready_s": ready - at, "whole_s": whole - at}


def asked_for(seen: str, flood: int) -> int:
    """How many a killed process had on its books: all, unless it asked for them one by one and left a mark for each."""
    one_by_one = sum(1 for line in seen.splitlines() if line.startswith("q "))
    return one_by_one or flood


def _through(seen: Path) -> int:
    """How many workflows have left the mark of their last step's end."""
    marks: list[Mark] = marks_of(seen.read_text(encoding="ascii"))
    return sum(1 for mark in marks if mark.end and mark.name.endswith("/3"))
