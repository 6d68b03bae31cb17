"""The checker of memory is shown to fail: memories as they were told, and every way in which they can differ."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.chaos.checker import Place
from tests.chaos.remembered import Memory, Noted, check_memory


@dataclass
class Story:
    """Two memories, one of which is forgotten again. Its parts can be changed before it is told."""

    told: dict[str, str | None] = field(default_factory=lambda: {"m1": "fact 1", "m2": None})
    events: list[Noted] = field(
        default_factory=lambda: [
            Noted("r1", "m1", "fact 1", Place(0, 1), 0),
            Noted("r2", "m2", "fact 2", Place(0, 2), 1),
            Noted("r3", "m2", None, Place(0, 3), 2),
        ]
    )
    read: dict[str, str] = field(default_factory=lambda: {"m1": "fact 1"})
    states: str = "1 of hash x"
    views: dict[str, str] = field(default_factory=lambda: {"one": "1 of hash x", "two": "1 of hash x"})

    def kinds(self) -> list[str]:
        found = check_memory(Memory(self.told, self.events, self.read, "1 of hash x", self.states, self.views))
        return sorted({violation.kind for violation in found})


def test_a_good_memory_has_nothing_wrong() -> None:
    assert Story().kinds() == []


def test_copies_of_an_event_change_nothing_and_late_ones_bring_nothing_back() -> None:
    """By somebody who had lost the partition: the order of the requests decides."""
    story = Story()
    story.events.append(Noted("r2", "m2", "fact 2", Place(0, 4), 1))
    story.events.append(Noted("r0", "m2", "fact 0", Place(0, 5), 0))
    assert story.kinds() == []


def test_a_memory_that_was_told_and_is_not_on_the_log() -> None:
    story = Story()
    del story.events[0]
    story.read = {}
    assert story.kinds() == ["lost"]


def test_a_memory_that_is_held_with_another_text() -> None:
    story = Story()
    story.events[0] = story.events[0]._replace(text="fact 7")
    story.read = {"m1": "fact 7"}
    assert story.kinds() == ["wrong"]


def test_a_request_that_came_to_two_memories() -> None:
    story = Story()
    story.events.append(Noted("r1", "m3", "fact 1", Place(0, 4), 0))
    assert story.kinds() == ["duplicated"]


def test_what_was_forgotten_is_back() -> None:
    story = Story()
    story.events.append(Noted("r4", "m2", "fact 2", Place(0, 4), 3))
    story.read["m2"] = "fact 2"
    assert story.kinds() == ["wrong"]


def test_a_memory_of_which_nobody_was_told() -> None:
    story = Story()
    story.events.append(Noted("r4", "m4", "fact 4", Place(1, 0), 0))
    story.read["m4"] = "fact 4"
    assert story.kinds() == ["wrong"]


def test_whoever_reads_the_log_comes_to_something_else() -> None:
    story = Story()
    story.read["m2"] = "fact 2"
    assert story.kinds() == ["wrong"]


def test_states_that_lack_what_the_log_has() -> None:
    story = Story()
    story.states = "0 of hash y"
    assert story.kinds() == ["wrong"]


def test_a_view_that_is_not_what_the_log_gives() -> None:
    story = Story()
    story.views["two"] = "2 of hash z"
    assert story.kinds() == ["wrong"]
