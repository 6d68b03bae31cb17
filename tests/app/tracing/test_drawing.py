from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from aiosv3.app.tracing import Drawing, build
from aiosv3.app.tracing.drawing import took

Row = dict[str, Any]
_PAID = "; 2 calls, 13+4 tokens, 0.000047 USD"
_FAILED = "ModelUnavailable: 503"


def drawn(rows: list[Row], now: int = 1_000, *, records: bool = False, terminal: bool = False) -> str:
    file = StringIO()
    console = Console(
        file=file, width=300, force_terminal=terminal, highlight=False, color_system="standard" if terminal else None
    )
    console.print(Drawing(rows[0]["timestamp"], now, records=records).tree(build(rows[0]["id"], rows)))
    return file.getvalue()


def test_a_tree_tells_times_routes_attempts_waits_and_money(story: list[Row]) -> None:
    lines = [line.rstrip() for line in drawn(story).splitlines()]
    assert lines == [
        f"task t  root  open for 1.0 s{_PAID}",
        "├── +   5 ms  started by version v1",
        f"├── +  10 ms  1 call clerk  OK in 87 ms (answered 2 times, the first one counts){_PAID}",
        "│   ├── +  15 ms  started by version v2",
        f"│   └── +  20 ms  1 model  OK in 71 ms{_PAID}",
        f"│       ├── +  20 ms  attempt 1 a (m): best  REFUSED in 30 ms, {_FAILED}; 3+2 tokens, 0.000007 USD",
        "│       └── +  60 ms  attempt 2 b (n): next  OK in 30 ms; 10+2 tokens, 0.000040 USD",
        "└── +  99 ms  2 person approve by boss: Send it?  waiting for 901 ms",
    ]


def test_one_attempt_is_told_in_the_line_of_its_step(story: list[Row]) -> None:
    rows = [row for row in story if "~2" not in row["id"]]
    assert "1 model a (m): best  OK in 71 ms; 3+2 tokens" in drawn(rows)


def test_records_say_where_they_lie(story: list[Row]) -> None:
    assert "completions.a[0]@7  k" in drawn(story, records=True)
    assert "@7" not in drawn(story)


def test_brackets_are_text_and_colours_are_for_terminals(row: Callable[..., Row]) -> None:
    error = {"type": "E", "message": "[/red] [bold]"}
    rows = [row(0, "tasks.a", "t[/b]"), row(9, "results.a", "t[/b]", outcome="FAILED", error=error)]
    assert "task t[/b]  a  FAILED in 9 ms, E: [/red] [bold]" in drawn(rows)
    assert "\x1b[" not in drawn(rows)
    assert "\x1b[" in drawn(rows, terminal=True)


def test_a_parked_task_shows_its_timers_and_its_deadline(row: Callable[..., Row]) -> None:
    timers = [{"step": "3", "hash": "", "due": 61_000}, {"step": "deadline", "hash": "", "due": 500}]
    carry = {"task_id": "t", "step_id": None, "kind": "CARRY", "carry": {"timers": timers}}
    said = drawn([row(0, "tasks.a", "t"), row(1, "journal.a", "t/carry", **carry)])
    assert "timer 3 in 1 min 0 s" in said
    assert "deadline in 0 ms" in said


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(0, "0 ms"), (999, "999 ms"), (1_500, "1.5 s"), (90_000, "1 min 30 s"), (7_300_000, "2 h 1 min"),
     (3 * 86_400_000, "3 d 0 h")],
)  # fmt: skip
def test_spans_of_time(milliseconds: int, words: str) -> None:
    assert took(milliseconds) == words
