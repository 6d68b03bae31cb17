"""Rows of records; their order on real topics: tests/app/commands/test_trace.py."""

from __future__ import annotations

from aiosv3.app.tracing import row_of
from aiosv3.app.tracing.collecting import _when
from aiosv3.streams.log import Record


def test_a_row_has_stable_names_and_no_prefix() -> None:
    record = Record("p.tasks.a", 1, 2, 3, None, b"", [("ce_id", b"t"), ("ce_type", b"k")])
    assert row_of("p.", record, {"x": 1}) == {
        "timestamp": 3,
        "topic": "tasks.a",
        "partition": 1,
        "offset": 2,
        "id": "t",
        "type": "k",
        "value": {"x": 1},
    }


def test_records_of_one_millisecond_are_in_the_order_of_their_causes() -> None:
    caused = ["tasks.a", "prompts", "decisions", "prompts.p", "completions.p", "journal.a", "results.a"]
    rows = [{"timestamp": 1, "topic": topic, "offset": 0} for topic in reversed(caused)]
    assert [row["topic"] for row in sorted(rows, key=_when)] == caused
