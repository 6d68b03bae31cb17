"""Events as JSON: the names are a contract."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from aiosv3.agents import AgentFailed
from aiosv3.agents.client import Answered, Asked, Decided, Finished, Gap, Progress, Started, Tokens
from aiosv3.schemas.records import Outcome


def test_each_event_is_one_flat_document() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    events = [
        Started("t", "c", "v1"),
        Progress("t", "c", "p", "half", 0.5),
        Tokens("t", "c", "1", "hi", 1, 0, erases=True),
        Gap("t", "c", "1", 2),
        Answered("t", "c", "1"),
        Asked("t", "c", "t/1", "ASK", "How many?", "boss", {"type": "integer"}, moment),
        Decided("t", "c", "t/1", "ann"),
        Finished("t", "c", Outcome.FAILED, None, AgentFailed("E: no")),
    ]
    base = {"task": "t", "cursor": "c"}
    assert [json.loads(json.dumps(event.as_json())) for event in events] == [
        {"event": "started", **base, "version": "v1"},
        {"event": "progress", **base, "step": "p", "text": "half", "fraction": 0.5},
        {"event": "tokens", **base, "step": "1", "text": "hi", "attempt": 1, "sequence": 0, "erases": True},
        {"event": "gap", **base, "step": "1", "missing": 2},
        {"event": "answered", **base, "step": "1"},
        {
            "event": "asked",
            **base,
            "question": "t/1",
            "kind": "ASK",
            "text": "How many?",
            "role": "boss",
            "schema": {"type": "integer"},
            "expires_at": "2026-01-02T03:04:05Z",
        },
        {"event": "decided", **base, "question": "t/1", "who": "ann"},
        {
            "event": "finished",
            **base,
            "outcome": "FAILED",
            "output": None,
            "error": {"type": "AgentFailed", "message": "E: no"},
        },
    ]
