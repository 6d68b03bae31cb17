"""Rows as the topics of a mesh give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Row = dict[str, Any]


@pytest.fixture
def row() -> Callable[..., Row]:
    """Makes a row; times are given in order, the rest does not matter."""
    count = iter(range(1_000))

    def make(at: int, topic: str, record_id: str, **value: Any) -> Row:
        place = {"partition": 0, "offset": next(count), "type": "k"}
        return {"timestamp": at, "topic": topic, "id": record_id, **place, "value": value}

    return make


def _usage(tokens: int, cost: int) -> dict[str, int]:
    counts = {"model_calls": 1, "input_tokens": tokens, "output_tokens": 2, "cached_tokens": 0}
    return {**counts, "cost_usd_micros": cost}


@pytest.fixture
def story(row: Callable[..., Row]) -> list[Row]:
    """A root that calls a child, whose model call needs two attempts, and that asks a person who has not answered."""
    error = {"type": "ModelUnavailable", "message": "503"}
    refused = {"task_id": "t/1", "step_id": "1", "outcome": "REFUSED", "error": error, "pool": "a", "model": "m"}
    answered = {"task_id": "t/1", "step_id": "1", "outcome": "OK", "pool": "b", "model": "n", "usage": _usage(10, 40)}
    return [
        row(0, "tasks.root", "t", text="hello"),
        row(5, "journal.root", "t/started", task_id="t", step_id=None, kind="STARTED", code_version="v1"),
        row(10, "tasks.clerk", "t/1", text="hello"),
        row(15, "journal.clerk", "t/1/started", task_id="t/1", step_id=None, kind="STARTED", code_version="v2"),
        row(20, "prompts", "t/1/1", task_id="t/1", step_id="1", agent="clerk"),
        row(21, "decisions", "t/1/1", task_id="t/1", outcome="ROUTED", pool="a", model="m", reason="best"),
        row(22, "prompts.a", "t/1/1", task_id="t/1", step_id="1", agent="clerk"),
        row(50, "completions.a", "t/1/1", **refused, latency_ms=25, usage=_usage(3, 7)),
        row(60, "prompts", "t/1/1~2", task_id="t/1", step_id="1", agent="clerk"),
        row(61, "decisions", "t/1/1~2", task_id="t/1", outcome="ROUTED", pool="b", model="n", reason="attempt 2: next"),
        row(90, "completions.b", "t/1/1~2", **answered, latency_ms=28),
        row(91, "journal.clerk", "t/1/1", task_id="t/1", step_id="1", kind="ANSWER", outcome="OK"),
        row(95, "results.clerk", "t/1", task_id="t/1", outcome="OK"),
        row(97, "journal.root", "t/1", task_id="t", step_id="1", kind="ANSWER", outcome="OK"),
        row(98, "journal.root", "t/1", task_id="t", step_id="1", kind="ANSWER", outcome="OK"),
        row(99, "approvals", "t/2", task_id="t", step_id="2", kind="APPROVE", role="boss", content="Send it?"),
    ]
