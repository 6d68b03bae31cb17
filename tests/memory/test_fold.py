"""What events mean, by the order of the requests: whatever lands first, late or twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.memory.fold import Drop, Fold, Keep
from aiosv3.schemas.memory import MemoryAction, MemoryEvent
from aiosv3.schemas.records import Outcome, StepFailure

TEXTS = ("red", "green")
IDS = ("a", "b", "c")
SUBJECTS = {"a": "ada", "b": "ada", "c": None}


def event(
    action: MemoryAction, order: int, memory_id: str | None = None, sent: int | None = None, **said: Any
) -> MemoryEvent:
    error = said.pop("error", None)
    subject = said.pop("subject", SUBJECTS.get(memory_id or ""))
    return MemoryEvent(
        request_id=f"r{order}",
        root_id="",
        task_id="t",
        step_id="",
        agent="",
        input_offset=order,
        epoch=0,
        request_hash="",
        first_sent=order if sent is None else sent,
        reply=None,
        outcome=Outcome.OK if error is None else Outcome.FAILED,
        error=error,
        action=action,
        tenant=said.pop("tenant", "acme"),
        clearance="internal",
        memory_id=memory_id,
        subject=subject,
        scope="tenant",
        **said,
    )


def remember(order: int, memory_id: str, text: str = "red", **said: Any) -> MemoryEvent:
    return event(MemoryAction.REMEMBER, order, memory_id, content=text, content_hash=text, **said)


def forget(order: int, memory_id: str | None = None, subject: str | None = None, **said: Any) -> MemoryEvent:
    return event(MemoryAction.FORGET, order, memory_id, subject=subject, **said)


def held(events: Sequence[MemoryEvent]) -> dict[str, tuple[str, int]]:
    """By id: content hash and order of the memories that are left."""
    fold = Fold()
    for offset, one in enumerate(events):
        fold.apply(one, offset)
    return {key[1]: (known.content_hash, known.order.input) for key, known in fold.memories.items()}


def test_the_same_again_changes_nothing() -> None:
    fold = Fold()
    assert fold.apply(remember(1, "a"), 0) == [Keep(remember(1, "a"), 0)]
    assert fold.apply(remember(5, "a"), 1) == []
    assert fold.memories["acme", "a"].version == 0
    assert [type(one) for one in fold.apply(remember(6, "a", "green"), 2)] == [Keep]


def test_the_later_request_wins_whatever_lands_first() -> None:
    assert held([remember(8, "a", "green"), remember(5, "a", "red")]) == {"a": ("green", 8)}
    assert held([remember(5, "a"), remember(9, "a"), remember(6, "a", "green")]) == {"a": ("red", 9)}


@pytest.mark.parametrize("target", [{"memory_id": "a"}, {"subject": "ada"}])
def test_what_is_forgotten_stays_so(target: dict[str, Any]) -> None:
    gone = forget(5, **target)
    fold = Fold()
    fold.apply(remember(1, "a"), 0)
    assert fold.apply(gone, 1) == [Drop("acme", "a", 1, purge=True)]
    assert fold.apply(remember(4, "a"), 2) == []  # asked for before, landed late
    assert fold.apply(remember(7, "a", sent=4), 3) == []  # a copy of what was sent before
    assert fold.apply(remember(5, "a"), 4) == []
    assert [type(one) for one in fold.apply(remember(8, "a"), 5)] == [Keep]


def test_a_memory_asked_for_after_the_forgetting_outlives_it_in_either_order() -> None:
    after, gone = remember(6, "a"), forget(5, subject="ada")
    assert held([after, gone]) == held([gone, after]) == {"a": ("red", 6)}


def test_other_tenants_and_subjects_are_left_alone() -> None:
    theirs, bobs = remember(1, "a", tenant="other"), remember(1, "c")
    assert set(held([theirs, bobs, forget(5, subject="ada"), forget(6, memory_id="a")])) == {"a", "c"}


def test_what_takes_the_place_of_something_ends_it() -> None:
    fold = Fold()
    fold.apply(remember(1, "a"), 0)
    effects = fold.apply(remember(2, "b", supersedes="a"), 1)
    assert effects == [Drop("acme", "a", 1, purge=False), Keep(remember(2, "b", supersedes="a"), 1)]
    assert fold.apply(remember(1, "a"), 2) == []
    assert fold.forgotten == {}


def test_expiry_ends_the_version_that_expired() -> None:
    fold = Fold()
    fold.apply(remember(1, "a", expires_at=10), 0)
    assert [key for key, _ in fold.due(10)] == [("acme", "a")]
    assert fold.due(9) == []
    late = event(MemoryAction.EXPIRE, 1, "a", sent=1)
    fold.apply(remember(2, "a", "green"), 1)
    assert fold.apply(late, 2) == []
    assert set(held([remember(1, "a"), late])) == set()
    assert set(held([remember(1, "a"), late, remember(2, "a")])) == {"a"}


def test_what_was_refused_changes_nothing() -> None:
    refused = StepFailure("MemoryRefused", "no", retryable=False)
    assert held([remember(1, "a", error=refused)]) == {}
    assert set(held([remember(1, "a"), forget(2, memory_id="a", error=refused)])) == {"a"}


@st.composite
def _events(draw: st.DrawFn) -> list[MemoryEvent]:
    """Requests in their order: offset and first-sent time grow together, as long as nobody sends one again."""
    made = []
    for order in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(["remember", "remember", "forget", "subject"]))
        memory_id = draw(st.sampled_from(IDS))
        if kind == "remember":
            made.append(remember(order, memory_id, draw(st.sampled_from(TEXTS))))
        else:
            made.append(forget(order, memory_id) if kind == "forget" else forget(order, subject="ada"))
    return made


@given(_events(), st.randoms(use_true_random=False))
def test_the_order_in_which_events_land_makes_no_difference(events: list[MemoryEvent], dice: Any) -> None:
    landed = list(events)
    dice.shuffle(landed)
    landed += dice.choices(landed, k=2)  # two workers wrote it, or one wrote it again
    assert held(landed) == held(events)


@given(_events())
def test_the_index_of_subjects_fits_the_memories(events: list[MemoryEvent]) -> None:
    fold = Fold()
    for offset, one in enumerate(events):
        fold.apply(one, offset)
    about = {(key[0], known.subject, key[1]) for key, known in fold.memories.items() if known.subject is not None}
    assert {(tenant, subject, one) for (tenant, subject), ids in fold._about.items() for one in ids} == about


def quarantine(order: int, *, on: bool = True, **said: Any) -> MemoryEvent:
    action = MemoryAction.QUARANTINE if on else MemoryAction.RELEASE
    name = said.get("source") or said.get("from_task")
    return event(action, order, f"quarantine of {name}", **said)


def test_what_came_and_what_will_come_from_a_task_is_suspect() -> None:
    fold = Fold()
    fold.apply(remember(1, "a"), 0)
    fold.apply(remember(2, "b", tenant="other"), 1)
    fold.apply(quarantine(3, from_task="t"), 2)
    fold.apply(quarantine(4, source="doc"), 3)
    fold.apply(remember(5, "c"), 4)
    assert fold.suspects("acme") == (frozenset({"doc"}), frozenset({"a", "c"}))
    assert fold.suspects("other") == (frozenset(), frozenset())
    fold.apply(forget(6, "a"), 5)
    assert fold.suspects("acme").ids == {"c"}
    fold.apply(quarantine(7, on=False, from_task="t"), 6)
    fold.apply(quarantine(7, on=False, source="doc"), 7)
    assert fold.suspects("acme") == (frozenset(), frozenset())


def test_of_a_quarantine_and_its_end_the_later_request_counts() -> None:
    """Whichever event lands first, and however often."""
    asked = [quarantine(1, source="doc"), quarantine(2, on=False, source="doc"), quarantine(3, source="doc")]
    for events in ([0, 1, 2], [2, 1, 0], [2, 0, 1, 0, 1]):
        fold = Fold()
        for offset, one in enumerate(events):
            fold.apply(asked[one], offset)
        assert fold.suspects("acme").sources == {"doc"}
    fold = Fold()
    fold.apply(asked[1], 0)
    fold.apply(asked[0], 1)
    assert fold.suspects("acme").sources == frozenset()


def test_what_came_from_a_task_or_a_model_is_found_by_it() -> None:
    fold = Fold()
    fold.apply(remember(1, "a", model="small"), 0)
    fold.apply(remember(2, "b"), 1)
    fold.apply(remember(3, "c", tenant="other", model="small"), 2)
    assert fold.came_from("acme", ["t"], []) == {"a", "b"}
    assert fold.came_from("acme", ["t"], ["small", "large"]) == {"a"}
    assert fold.came_from("acme", ["another"], ["small"]) == frozenset()
