from __future__ import annotations

from typing import Any

import pytest

from aiosv3.app.lines import summary

_USAGE = {"model_calls": 1, "input_tokens": 10, "output_tokens": 2, "cost_usd_micros": 14}


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({}, ""),
        ({"text": "a\nb"}, '{"text": "a\\nb"}'),
        ({"unreadable": "no schema"}, '{"unreadable": "no schema"}'),
        (
            {"task_id": "t", "outcome": "FAILED", "pool": "p", "model": None, "usage": _USAGE,
             "error": {"type": "T", "message": "m"}},
            "FAILED, p, T: m, 10+2 tokens, 0.000014 USD",
        ),
        ({"task_id": "t", "kind": "ANSWER", "outcome": "OK", "content": '{"a":\n1}'}, 'ANSWER, OK, {"a": 1}'),
        ({"request_id": "r", "content": {"messages": [{"content": "first"}, {"content": "last"}]}}, "last"),
        ({"request_id": "r", "outcome": "OK", "content": {"text": "said", "tool_calls": None}}, "OK, said"),
        ({"task_id": "t", "outcome": "OK", "content": {"total": 3}}, 'OK, {"total": 3}'),
        ({"task_id": "t", "kind": "SIGNAL", "message": "note"}, "SIGNAL, note"),
        ({"request_id": "r", "content": b"sealed"}, "(sealed)"),
        ({"task_id": "t"}, '{"task_id": "t"}'),
    ],
)  # fmt: skip
def test_a_record_in_one_line(value: dict[str, Any], line: str) -> None:
    assert summary(value) == line
