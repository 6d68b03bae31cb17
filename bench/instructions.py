"""Processor instructions of a no-op task, counted by callgrind: a gate that a busy machine cannot shake.

    python bench/instructions.py [--json] [--write]

The task runs on a log in memory (``task_step.py``), twice with different counts, so that the difference is that of the
tasks alone; beside it the same values are decoded and encoded in a bare loop. What is compared is the ratio of both: it
says what the runtime adds, whatever compiler built this Python. Exit code 1 when it is over ``instructions.json`` by
more than 5 %; 0 with a word where there is no valgrind, or no measure of this version of Python. ``--write`` takes
today's figures as its measure.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
MEASURE = HERE / "instructions.json"
COUNTS = (200, 700)
MORE = 0.05
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_COLLECTED = re.compile(r"Collected : (\d+)")


def collected(text: str) -> int:
    """What callgrind says at its end."""
    found = _COLLECTED.search(text)
    if found is None:
        raise SystemExit(f"callgrind did not say what it counted:\n{text[-2_000:]}")
    return int(found[1])


def counted(kind: str, count: int) -> int:
    """Instructions of a whole process that does ``count`` tasks."""
    with tempfile.TemporaryDirectory(prefix="aiosv3-callgrind-") as folder:
        done = subprocess.run(
            [
                *("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"),
                *(sys.executable, str(HERE / "task_step.py"), kind, str(count)),
            ],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
            timeout=1_200,
        )
    return collected(done.stderr)


def of_a_task(kind: str) -> int:
    """Instructions of one task: start and end of the process fall out of the difference."""
    few, many = COUNTS
    return (counted(kind, many) - counted(kind, few)) // (many - few)


def verdict(ratio: float, measure: float) -> str | None:
    """What is wrong, in words; None when nothing is."""
    if ratio <= measure * (1 + MORE):
        return None
    return (
        f"a no-op task takes {ratio:.2f} times the instructions of decoding and encoding it, {measure:.2f} were "
        f"measured before: over {MORE:.0%} more. Find out what costs it (python bench/task_step.py noop 5000 FILE "
        "writes a profile), or say why it is worth that and run this with --write"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of words")
    parser.add_argument("--write", action="store_true", help="take these figures as the measure")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("no valgrind here: instructions are not counted", file=sys.stderr)
        return 0
    noop, bare = of_a_task("noop"), of_a_task("bare")
    found = {"noop": noop, "bare": bare, "ratio": round(noop / bare, 3)}
    measures = json.loads(MEASURE.read_text(encoding="utf-8"))
    if options.write:
        measures[PYTHON] = found
        MEASURE.write_text(json.dumps(measures, indent=2) + "\n", encoding="utf-8")
    if PYTHON not in measures:
        print(f"no measure of Python {PYTHON} in {MEASURE.name}: {json.dumps(found)}", file=sys.stderr)
        return 0
    measure = measures[PYTHON]["ratio"]
    if options.json:
        print(json.dumps({**found, "measure": measure}))
    else:
        print(
            f"no-op task: {noop:,} instructions; bare: {bare:,}; ratio {noop / bare:.2f}, measured before {measure:.2f}"
        )
    wrong = verdict(noop / bare, measure)
    if wrong is not None:
        print(wrong, file=sys.stderr)
    return 0 if wrong is None else 1


if __name__ == "__main__":
    sys.exit(main())
