"""Golden tasks as task events, and results as they see them. On a mesh: tests/app/commands/test_eval.py."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from aiosv3.agents import Context, agent
from aiosv3.agents.client import Ended
from aiosv3.agents.client.sending import event_headers
from aiosv3.app.evaluation import Run, seen_of
from aiosv3.app.golden import Golden
from aiosv3.schemas.records import Outcome, Usage
from aiosv3.schemas.topics import TaskHandle


class Booking(BaseModel):
    """With values that JSON writes in its own way."""

    at: datetime
    seats: list[int] = Field(serialization_alias="places")


@agent
async def books(_ctx: Context, value: Booking) -> Booking:
    return value


@agent
async def echoes(_ctx: Context, value: str) -> str:
    return value


def result(outcome: Outcome, output: Any = None, error: dict[str, str] | None = None) -> Ended[Any]:
    now = datetime.now(UTC)
    return Ended(TaskHandle("a", 0, "t"), outcome, output, None, now, now, 0, Usage(), {"error": error})


def golden(name: str, key: str | None = None) -> Golden:
    return Golden(1, name, {"text": "Grüße"}, (), None, key)


def test_two_runs_share_neither_tasks_nor_keys() -> None:
    """Else the second would get the results, and the state, of the first."""
    first, second = (Run(echoes).event(golden("a", "k")) for _ in range(2))
    assert first.id != second.id
    assert first.key != second.key


def test_within_a_run_golden_tasks_may_share_a_key() -> None:
    run = Run(echoes, id="eval-1")
    events = [run.event(golden("a", "k")), run.event(golden("b", "k")), run.event(golden("c"))]
    assert [(event.id, event.key) for event in events] == [
        ("eval-1-a", "eval-1-k"),
        ("eval-1-b", "eval-1-k"),
        ("eval-1-c", "eval-1-c"),
    ]


def test_an_event_says_where_it_is_from_and_carries_what_it_is_told_to() -> None:
    event = Run(echoes, headers=[("ce_tenant", b"acme")]).event(golden("a"))
    found = dict(event_headers(event, datetime(2026, 1, 2, tzinfo=UTC)))
    assert (found["ce_source"], found["ce_tenant"], found["ce_type"]) == (
        b"aiosv3/eval",
        b"acme",
        b"aiosv3.task.echoes",
    )
    assert event.value == '{"text": "Grüße"}'.encode()


def test_outputs_are_seen_as_json_has_them() -> None:
    made = Booking(at=datetime(2026, 1, 2, tzinfo=UTC), seats=[1])
    assert seen_of(books, result(Outcome.OK, made)).output == {"at": "2026-01-02T00:00:00Z", "places": [1]}
    assert seen_of(echoes, result(Outcome.OK, "text")).output == "text"


def test_a_failure_has_its_type_and_message_and_no_output() -> None:
    ended = seen_of(books, result(Outcome.FAILED, error={"type": "Denied", "message": "no"}))
    assert (ended.outcome, ended.output, ended.error) == (Outcome.FAILED, None, ("Denied", "no"))
