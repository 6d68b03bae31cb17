"""What the benchmarks do with their figures."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from measures import (
    Spread,
    Watch,
    busy_seconds,
    families,
    parent_of,
    percentile,
    process_seconds,
    ratios,
    report,
    started,
)

from aiosv3.app.localstack.errors import ArtifactsUnavailable

TICKS = os.sysconf("SC_CLK_TCK")
STAT = "cpu  {user} 20 30 4000 50 6 7 8 900 0\ncpu0 1 2 3\n"
"""user, nice, system, idle, waiting for disks, interrupts (two kinds), stolen; guests are in ``user`` already."""
PROCESS = "77 (a (very) odd name) S 11 77 77 0 -1 4194304 100 0 0 0 {user} {system} {dead} 4 20 0 1 0 100 0 0"


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 3.0, 5.0, 5.0]
    assert math.isnan(percentile([], 0.5))


def test_pairs_are_compared_pair_by_pair() -> None:
    """Both of a slow pair are slow: the ratio of the medians would be 2, of each pair it is 3."""
    assert ratios([3.0, 30.0, 6.0], [1.0, 10.0, 2.0]) == Spread(3.0, 3.0, 3.0)
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_a_spread_tells_its_ends() -> None:
    assert Spread.of([2.0, 9.0, 4.0]).words(1) == "4.0 (2.0-9.0)"


def test_busy_is_neither_idle_nor_waiting() -> None:
    assert busy_seconds(STAT.format(user=10)) * TICKS == 10 + 20 + 30 + 6 + 7 + 8


def test_a_process_has_the_time_of_its_dead_children_too() -> None:
    stat = PROCESS.format(user=1, system=2, dead=3)
    assert process_seconds(stat) * TICKS == 1 + 2 + 3 + 4
    assert parent_of(stat) == 11


def test_a_family_is_all_that_descends() -> None:
    parents = {2: 1, 3: 2, 4: 3, 5: 1, 6: 99}
    assert families({"two": 2, "five": 5}, parents) == {"two": {2, 3, 4}, "five": {5}}


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="no /proc on this system")  # noqa: PTH110
def test_what_a_process_uses_is_seen_from_outside() -> None:
    code = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(1, flush=True)\nsys.stdin.readline()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:  # type: ignore[call-overload]
        watch = Watch({"spins": process.pid, "gone": 2**22 + 1})
        process.stdout.readline()
        busy = watch.report()
        process.communicate("\n")
    assert 0.1 < busy.cpu["spins"] < 1.0
    assert busy.cpu["gone"] == 0.0
    assert 0.0 <= busy.others <= 1.05
    assert "others" in busy.words()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_report_is_lines_as_they_come_or_one_document(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    def measured(say: Callable[[str], None]) -> Iterator[tuple[str, int]]:
        say("a line")
        yield "figure", 7

    report(measured, {"limit": 9}, as_json=as_json)
    out, err = capsys.readouterr()
    assert "a line" in (err if as_json else out)
    if as_json:
        document = json.loads(out)
        assert (document["figure"], document["limits"]) == (7, {"limit": 9})
        assert document["machine"]["cores"] == os.cpu_count()


def test_no_broker_is_said_in_one_sentence() -> None:
    class Nowhere:
        def start(self) -> str:
            raise ArtifactsUnavailable("it is not on this machine")

    nowhere: Any = Nowhere()
    with pytest.raises(SystemExit, match="nothing more be measured without one: it is not on this machine"):
        started(nowhere)
