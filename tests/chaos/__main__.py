"""``make chaos``: real processes on real Kafka under faults, checked for loss, duplicates, order and repetition.

    python -m tests.chaos [--scenario NAME …] [--seed N] [--seconds S] [--json] [--keep FOLDER]

Exit code 1 if a checker found something; what is needed to see why stays in a folder that is named.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "process"))

from tests.chaos.brokers import NotHere
from tests.chaos.checker import KINDS, Violation
from tests.chaos.scenarios import SCENARIOS, Scenario
from tests.chaos.stage import Report, Stage, shown, tidy


def one(scenario: Scenario, seed: int, seconds: float | None, keep: Path) -> Report:
    """One run. An error of the harness itself is a violation too: nothing was shown."""
    folder = Path(tempfile.mkdtemp(prefix=f"{scenario.name}-{seed}-", dir=keep))
    lasts = scenario.seconds if seconds is None else seconds
    try:
        if scenario.peer is not None:
            report = scenario.peer(seed, folder)
        else:
            report = Stage(scenario.name, scenario.plan, folder, seed, lasts).run(scenario.strike)
    except NotHere as error:
        report = Report(scenario.name, seed, lasts, skipped=str(error), folder=str(folder))
    except Exception as error:  # noqa: BLE001 -- the boundary of one scenario: the others are still run
        (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        words = f"{type(error).__name__}: {str(error)[:400]}"
        report = Report(scenario.name, seed, lasts, violations=[Violation("wrong", words)], folder=str(folder))
    tidy(report)
    return report


def line(report: Report, took: float) -> str:
    """A row of the table."""
    counts = report.counts()
    numbers = f"{report.tasks:>6}{report.calls:>7}{report.faults:>7}" + "".join(f"{counts[k]:>11}" for k in KINDS)
    good = "found, as it must be" if report.peer else "ok"
    verdict = f"skipped: {report.skipped}" if report.skipped else good if report.green else "FAILED"
    fell = f" (fell: {', '.join(report.fell)})" if report.fell else ""
    row = (
        f"{report.scenario:<10}{report.seed:>8}{numbers}{report.in_flight:>10}{report.longest_gap_s:>8.1f}{took:>6.0f}"
    )
    return f"{row}  {verdict}{fell}"


def head() -> str:
    """The table's first line."""
    names = f"{'scenario':<10}{'seed':>8}{'tasks':>6}{'calls':>7}{'faults':>7}" + "".join(f"{k:>11}" for k in KINDS)
    return f"{names}{'in flight':>10}{'gap s':>8}{'s':>6}"


def main(argv: list[str] | None = None) -> int:
    """Runs what was asked for; 0 if nothing was found."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__.partition("\n")[0],
        epilog="\n".join(f"{one.name:<10}{one.words}" for one in SCENARIOS.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scenario", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--seed", type=int, help="of all that is random; by default a fresh one, which is printed")
    parser.add_argument("--seconds", type=float, help="of faults, in each scenario")
    parser.add_argument("--json", action="store_true", help="one object a scenario, instead of the table")
    parser.add_argument(
        "--keep", type=Path, default=Path(tempfile.gettempdir()), help="where failures leave their files"
    )
    asked = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was started is ended
    seed = random.SystemRandom().randrange(100_000) if asked.seed is None else asked.seed
    say = sys.stderr if asked.json else sys.stdout
    print(head(), file=say, flush=True)
    reports = []
    for name in asked.scenario:
        began = time.monotonic()
        report = one(SCENARIOS[name], seed, asked.seconds, asked.keep)
        reports.append(report)
        print(line(report, time.monotonic() - began), file=say, flush=True)
        if not report.green:
            again = f"python -m tests.chaos --scenario {name} --seed {seed} --seconds {report.seconds:g}"
            print(f"{shown(report)}\n  files: {report.folder}\n  again: {again}", file=say, flush=True)
    if asked.json:
        print(json.dumps([report.to_json() for report in reports], indent=2))
    return int(any(not report.green for report in reports))


if __name__ == "__main__":
    sys.exit(main())
