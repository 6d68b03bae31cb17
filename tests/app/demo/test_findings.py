"""The comparison with what was held back."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from aiosv3.app.demo.declared import Declared
from aiosv3.app.demo.facts import Records
from aiosv3.app.demo.findings import (
    Score,
    Standing,
    findings,
    model_label,
    of_standing,
    score,
    write_csv,
)

MIT = Declared("MIT", "License-Expression", frozenset({"MIT"}))
NOTHING = Declared("", "nothing", frozenset())
HELD_BACK = {
    "right": ("1.0", MIT),
    "Wrong": ("2.0", MIT),
    "person": ("3.0", MIT),
    "silent": ("4.0", NOTHING),
    "failed": ("5.0", MIT),
    "lost": ("6.0", MIT),
    "model": ("7.0", MIT),
}


def records(runs: Any) -> Records:
    return Records(
        [runs.task(name) for name in HELD_BACK],
        [
            runs.result("right", offset=0),
            runs.result("Wrong", "ISC", "rule", offset=1),
            runs.result("Wrong", "MIT", "rule", offset=9),
            runs.result("person", "unknown", "person", offset=2),
            runs.result("silent", offset=3),
            runs.result("failed", failed=True, offset=4),
            runs.result("model", "MIT", "model", offset=5),
        ],
        [runs.decision("model"), runs.decision("model", "2", offset=1), runs.decision("person", pool=None, offset=2)],
        [],
    )


def test_every_task_has_its_line_mismatches_first(runs: Any) -> None:
    lines = findings(records(runs), HELD_BACK)
    assert [(line.distribution, line.verdict) for line in lines] == [
        ("Wrong", "mismatch"),
        ("person", "left to you"),
        ("failed", "no result"),
        ("lost", "no result"),
        ("silent", "not declared"),
        ("model", "match"),
        ("right", "match"),
    ]
    assert lines[0].version == "2.0"


def test_the_reader_keeps_the_first_result(runs: Any) -> None:
    wrong = findings(records(runs), HELD_BACK)[0]
    assert (wrong.found, wrong.declared) == ("ISC", "MIT")


def test_routes_and_the_model_by_its_name(runs: Any) -> None:
    lines = {line.distribution: line for line in findings(records(runs), HELD_BACK)}
    assert lines["model"].route == "local"
    assert lines["model"].reason == "because [SmolLM2-135M-Instruct, a toy model]"
    assert lines["person"].route == "refused"
    assert (lines["right"].route, lines["right"].reason) == ("", "because")
    assert lines["failed"].reason == "Livelock: it never ends"
    assert lines["lost"].reason == "the task has no result"


def test_a_distribution_that_nobody_declared(runs: Any) -> None:
    (line,) = findings(Records([runs.task("new")], [runs.result("new")], [], []), {})
    assert (line.verdict, line.declared) == ("not declared", "nothing")


def test_scores_count_what_can_be_compared(runs: Any) -> None:
    lines = findings(records(runs), HELD_BACK)
    assert score(lines, "rule") == Score(1, 2)
    assert score(lines, "model") == Score(1, 1)
    assert len(of_standing(lines, Standing.NO_RESULT)) == 2


def test_the_file(runs: Any, tmp_path: Path) -> None:
    path = tmp_path / "new" / "licences.csv"
    write_csv(path, findings(records(runs), HELD_BACK))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["distribution", "version", "declared", "found", "by", "verdict", "quote", "route", "reason"]
    assert rows[1][0] == "Wrong"
    assert len(rows) == 1 + len(HELD_BACK)


def test_only_the_toy_is_called_one() -> None:
    assert model_label("SmolLM2-135M-Instruct").endswith("a toy model")
    assert model_label("gpt-4o-mini") == "gpt-4o-mini"
