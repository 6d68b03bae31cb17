"""Events as lines for people."""

from __future__ import annotations

import io

from aiosv3.agents.client import Answered, Asked, Decided, Event, Finished, Gap, Progress, Started, Tokens
from aiosv3.app.eventlines import EventLines
from aiosv3.schemas.records import Outcome


def shown(*events: Event) -> str:
    stream = io.StringIO()
    lines = EventLines(stream, "t")
    for event in events:
        lines.show(event)
    return stream.getvalue()


def tokens(text: str, step: str = "1", task: str = "t", *, erases: bool = False) -> Tokens:
    return Tokens(task, "c", step, text, 1, 0, erases)


def test_tokens_run_on_and_the_rest_has_lines() -> None:
    assert shown(
        Started("t", "c", "v1"),
        tokens("Hel"),
        tokens("lo"),
        Progress("t", "c", "p", "half", 0.5),
        Progress("t", "c", "p", "more"),
        Progress("t", "c", "p", "", 1.0),
        tokens("again", "2"),
        Answered("t", "c", "2"),
        Finished("t", "c", Outcome.OK, None, None),
    ) == ("started (version v1)\nanswer of step 1:\nHello\n50% half\nmore\n100%\nanswer of step 2:\nagain\n")


def test_what_is_void_or_lost_is_said() -> None:
    assert shown(tokens("a"), Gap("t", "c", "1", 2), tokens("d"), tokens("A", erases=True), tokens("B")) == (
        "answer of step 1:\na[2 pieces lost]d\nanswer of step 1, from the beginning again:\nAB"
    )


def test_other_tasks_of_the_tree_are_named_and_questions_say_how_to_answer() -> None:
    assert shown(
        tokens("x", task="t/1"),
        Asked("t/1", "c", "t/1/2", "APPROVE", "Refund?", "finance", None, None),
        Asked("t", "c", "t/3", "ASK", "How many?", None, {}, None),
        Decided("t", "c", "t/3", "ann"),
    ) == (
        "t/1: answer of step 1:\nx\n"
        "t/1: asks finance: Refund?\n  aiosv3 approvals answer t/1/2 --approve, or --deny\n"
        "asks somebody: How many?\n  aiosv3 approvals answer t/3 --json VALUE\n"
        "ann answered t/3\n"
    )
