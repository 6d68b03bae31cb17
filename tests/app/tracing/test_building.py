from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aiosv3.app.tracing import Happened, Spent, build

Row = dict[str, Any]
Make = Callable[..., Row]


def test_children_lie_below_their_step_and_money_adds_up(story: list[Row]) -> None:
    task = build("t", story)
    assert (task.agent, task.began, task.outcome) == ("root", 0, None)
    assert task.spent == Spent(2, 13, 4, 0, 47)
    call, question = task.ordered()
    assert (call.kind, call.about, call.outcome, call.ended) == ("call", "clerk", "OK", 97)
    assert call.child is not None
    assert (call.child.outcome, call.child.ended) == ("OK", 95)
    assert (question.kind, question.about, question.ended) == ("person", "approve by boss: Send it?", None)


def test_failed_attempts_stay_visible(story: list[Row]) -> None:
    child = build("t/1", story)
    (step,) = child.ordered()
    assert (step.kind, step.outcome, child.agent) == ("model", "OK", "clerk")
    first, second = step.attempts[1], step.attempts[2]
    assert (first.outcome, first.error, first.reason) == ("REFUSED", "ModelUnavailable: 503", "best")
    assert (second.pool, second.model, second.outcome, second.reason) == ("b", "n", "OK", "next")
    assert (first.spent.cost_usd_micros, second.latency_ms) == (7, 28)


def test_the_first_answer_counts_and_others_are_counted(story: list[Row]) -> None:
    assert build("t", story).steps["1"].answers == 2


def test_every_record_lies_somewhere(story: list[Row], row: Make) -> None:
    odd = [
        row(100, "journal.root", "t/7", unreadable="no schema"),
        row(101, "prompts", "t!cancel", task_id="t", step_id="deadline", agent="root"),
        row(102, "dead-letters", "t/1/1", bytes="…"),
        row(103, "decisions", "t!cancel", task_id="", outcome="REFUSED"),
    ]
    rows = [*story, *odd]
    task = build("t", rows)

    def places(one: Any) -> list[Row]:
        below = [
            found for step in one.steps.values() for found in (*step.rows, *(places(step.child) if step.child else ()))
        ]
        return [*one.rows, *below]

    key = lambda found: found["offset"]  # noqa: E731
    assert sorted(places(task), key=key) == sorted(rows, key=key)


def test_without_a_journal_the_own_logs_say_how_it_ended(story: list[Row]) -> None:
    kept = [row for row in story if not row["topic"].startswith("journal.")]
    task = build("t", kept)
    assert (task.steps["1"].outcome, task.steps["1"].ended) == ("OK", 95)
    child = task.steps["1"].child
    assert child is not None
    assert child.steps["1"].outcome == "OK"


def test_a_task_whose_event_is_gone_is_known_from_its_journal(story: list[Row]) -> None:
    task = build("t", story[1:])
    assert (task.agent, task.began) == ("root", 5)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"kind": "STARTED", "code_version": "v"}, "started by version v"),
        ({"kind": "CANCEL"}, "cancelled"),
        ({"kind": "SIGNAL", "message": "note"}, "message note"),
        ({"kind": "SIGNAL", "message": "aiosv3.retry"}, "tried again"),
        ({"kind": "TIMER", "step_id": "deadline"}, "its deadline passed"),
    ],
)
def test_what_is_no_step_is_told(row: Make, value: dict[str, Any], what: str) -> None:
    task = build(
        "t", [row(0, "tasks.a", "t"), row(1, "journal.a", "t/x", **{"task_id": "t", "step_id": None, **value})]
    )
    assert task.happened == [Happened(1, what)]
    assert task.steps == {}


def test_a_parked_task_says_what_it_waits_for(row: Make) -> None:
    carry = {
        "task_id": "t",
        "step_id": None,
        "kind": "CARRY",
        "carry": {"timers": [{"step": "3", "hash": "", "due": 9}]},
    }
    rows = [row(0, "tasks.a", "t"), row(1, "journal.a", "t/carry", **carry), row(2, "journal.a", "t/carry", **carry)]
    task = build("t", rows)
    assert (task.happened, task.waits) == ([Happened(1, "parked", 2)], {"3": 9})


def test_tools_values_and_timers_are_steps(row: Make) -> None:
    tool = {"task_id": "t", "step_id": "1", "server": "crm", "tool": "find"}
    journal = {"task_id": "t", "outcome": "OK"}
    rows = [
        row(0, "tasks.a", "t"),
        row(1, "tools.office", "t/1", **tool),
        row(5, "tool-results.office", "t/1", **tool, outcome="FAILED", error={"type": "ToolFailed", "message": "m"}),
        row(6, "journal.a", "t/2", **journal, step_id="2", kind="VALUE"),
        row(7, "journal.a", "t/3", **journal, step_id="3", kind="TIMER"),
    ]
    steps = build("t", rows).steps
    assert [(step.kind, step.about) for step in steps.values()] == [("tool", "crm.find"), ("value", ""), ("timer", "")]
    assert (steps["1"].outcome, steps["1"].error) == ("FAILED", "ToolFailed: m")


def test_a_persons_answer_says_who(row: Make) -> None:
    rows = [
        row(0, "tasks.a", "t"),
        row(1, "approvals", "t/1", task_id="t", step_id="1", kind="ASK", role=None, content=b"\x01sealed"),
        row(2, "approvals", "t/1/answer/x", request_id="t/1", who="ann", approved=True),
        row(3, "approvals", "t/1/closed", request_id="t/1", who="ann", accepted=True),
    ]
    step = build("t", rows).steps["1"]
    assert (step.who, step.about, len(step.rows)) == ("ann", "ask by anybody: (sealed)", 3)


def test_a_refusal_of_the_router_ends_an_attempt(row: Make) -> None:
    error = {"type": "ClearanceDenied", "message": "no pool"}
    decision = {"task_id": "t", "outcome": "REFUSED", "reason": "none may see it", "error": error}
    task = build("t", [row(0, "tasks.a", "t"), row(1, "decisions", "t/1", **decision)])
    assert (task.steps["1"].outcome, task.steps["1"].error) == ("REFUSED", "ClearanceDenied: no pool")


def test_what_nothing_is_known_of_is_an_empty_task(row: Make) -> None:
    assert build("t", []).steps == {}
    assert build("t", [row(4, "dead-letters", "t")]).began == 4
