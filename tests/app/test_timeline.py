"""What was said of memories, by whom, and what put them into quarantine."""

from __future__ import annotations

from typing import Any, cast

from aiosv3.app.recollection import Recollection
from aiosv3.app.timeline import Named, quarantines, timeline, who, words_of
from aiosv3.memory.applying import Applier
from aiosv3.memory.fold import Known, Order
from aiosv3.schemas.memory import MemoryAction, MemoryEvent
from aiosv3.schemas.records import Outcome
from aiosv3.streams.log import Record


class Told:
    """A recollection out of events, in one partition each."""

    def __init__(self) -> None:
        self.recollection = Recollection(Applier(cast("Any", None), cast("Any", None), cast("Any", None)))
        self.offset = 0

    def say(self, action: MemoryAction, name: str | None = None, partition: int = 0, **said: Any) -> None:
        said = {"agent": "desk", "task_id": "t1", **said}
        event = MemoryEvent(
            "r", "", said.pop("task_id"), "1", said.pop("agent"), self.offset, 0, "", self.offset, None, Outcome.OK,
            None, action, "acme", "internal", name, **said,
        )  # fmt: skip
        record = Record("events", partition, self.offset, 100 + self.offset, None, b"", [])
        self.offset += 1
        self.recollection.events.setdefault(("acme", name or f"subject/{event.subject}"), []).append((record, event))
        if action is MemoryAction.REMEMBER:
            known = Known(record.offset, Order(0, 0), "", event.subject, "tenant", None, event.task_id)
            self.recollection.applier.fold(partition).memories["acme", name or ""] = known

    def actions(self, memory_id: str | None = None, subject: str | None = None) -> list[str]:
        return [told.action.value for _, told in timeline(self.recollection, "acme", Named(memory_id, subject))]


def story() -> Told:
    told = Told()
    told.say(MemoryAction.REMEMBER, "m", subject="ada", source="page")
    told.say(MemoryAction.REMEMBER, "other", subject="bob", source="page", partition=1)
    for partition in (0, 1):
        told.say(
            MemoryAction.QUARANTINE, "q", partition, source="page", agent="@operator", speaker="eve", task_id="cli/1"
        )
    told.say(MemoryAction.QUARANTINE, "q2", from_task="t1", agent="@operator")
    told.say(MemoryAction.QUARANTINE, "q3", source="another page")
    told.say(MemoryAction.RELEASE, "q2", from_task="t1", agent="@operator")
    told.say(MemoryAction.FORGET, subject="ada")
    told.say(MemoryAction.FORGET, subject="bob", partition=1)
    return told


def test_of_a_memory_all_that_concerns_it_is_told_once() -> None:
    expected = ["REMEMBER", "QUARANTINE", "QUARANTINE", "RELEASE", "FORGET"]
    assert story().actions("m") == expected
    assert story().actions(subject="ada") == expected
    assert story().actions("other") == ["REMEMBER", "QUARANTINE", "FORGET"]
    assert story().actions("q") == story().actions("none") == []


def test_why_a_memory_is_in_quarantine_now() -> None:
    told = story()
    assert quarantines(told.recollection, "acme", "m") == [{"source": "page", "task": None, "by": "eve", "at": 102}]
    told.say(MemoryAction.QUARANTINE, "q2", from_task="t1")
    assert [one["task"] for one in quarantines(told.recollection, "acme", "m")] == [None, "t1"]
    told.say(MemoryAction.REMEMBER, "m", subject="ada", source="page", task_id="t2")
    told.say(MemoryAction.RELEASE, "q", source="page")
    assert quarantines(told.recollection, "acme", "m") == [], "its present version came from another task"


def test_who_has_done_it_and_what() -> None:
    events = [told for _, told in timeline(story().recollection, "acme", Named("m", None))]
    assert [who(told) for told in events] == ["desk", "eve", "@operator", "@operator", "desk"]
    assert [words_of(told, "text") for told in events] == [
        "text",
        "all that came from source page",
        "all that came from task t1",
        "no longer all that came from task t1",
        "text",
    ]
