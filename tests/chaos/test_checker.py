"""The checker is shown to fail: a good history, and every way in which it can be bad."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from tests.chaos.checker import (
    OVERLAP_MS,
    Act,
    Acts,
    Answer,
    Evidence,
    Lane,
    Mark,
    Place,
    Result,
    Start,
    Task,
    check,
    in_flight,
)


@dataclass
class Story:
    """Two tasks of a key, one after the other, each with one call. Its parts can be changed before it is told."""

    tasks: list[Task] = field(default_factory=lambda: [_task("a", 0), _task("b", 1)])
    results: list[Result] = field(default_factory=lambda: [_result("a", 0, 200), _result("b", 1, 400)])
    starts: list[Start] = field(default_factory=lambda: [_start("a", 1, 110), _start("b", 2, 300)])
    marks: list[Mark] = field(default_factory=lambda: [Mark(Place(0, 0), 10)])
    acts: list[Act] = field(default_factory=lambda: [Act("a/1", 120, "one"), Act("b/1", 310, "one")])
    answers: list[Answer] = field(
        default_factory=lambda: [Answer("a/1", Place(0, 1), 150, 0), Answer("b/1", Place(0, 2), 350, 0)]
    )
    taken: list[Mark] = field(default_factory=lambda: [Mark(Place(0, 0), 10)])
    acked: dict[str, Place] = field(default_factory=lambda: {"a": Place(0, 0), "b": Place(0, 1)})
    seen: list[tuple[str, Place, str]] = field(default_factory=lambda: [("a", Place(0, 0), "said a")])
    ended: dict[str, int] = field(default_factory=dict)

    def evidence(self) -> Evidence:
        lane = Lane("lane", self.tasks, self.results, self.starts, self.marks, serial=True, counted=True)
        acts = Acts("model", self.acts, self.answers, self.taken)
        return Evidence([lane], [acts], {"lane": self.acked}, {"lane": self.seen}, self.ended)

    def kinds(self) -> list[str]:
        return sorted({violation.kind for violation in check(self.evidence())})


def _task(name: str, offset: int) -> Task:
    return Task(name, "key", Place(0, offset), 100 + offset, offset)


def _result(name: str, offset: int, at: int) -> Result:
    return Result(name, Place(0, offset), at, f"said {name}", input=offset, nth=offset + 1)


def _start(name: str, offset: int, at: int) -> Start:
    return Start(name, Place(0, offset), at)


def test_a_good_history_has_nothing_wrong() -> None:
    assert check(Story().evidence()) == []


def test_a_task_without_a_result_is_lost() -> None:
    story = Story()
    del story.results[1]
    assert story.kinds() == ["lost"]


def test_an_acknowledged_event_that_is_not_on_the_log_is_lost() -> None:
    story = Story()
    story.acked["c"] = Place(0, 2)
    assert story.kinds() == ["lost"]


def test_a_result_that_somebody_read_and_that_is_gone_is_lost() -> None:
    """As after a leader that did not have it."""
    story = Story()
    story.seen.append(("b", Place(0, 1), "said something else"))
    assert story.kinds() == ["lost"]


def test_two_results_that_differ_are_a_duplicate() -> None:
    story = Story()
    story.results.append(Result("b", Place(0, 2), 500, "said otherwise", input=1, nth=2))
    story.marks.append(Mark(Place(0, 3), 450))
    assert story.kinds() == ["duplicated"]


@pytest.mark.parametrize(
    ("partition", "at", "kinds"), [(0, 380, []), (1, 380, ["duplicated"]), (0, 50, ["duplicated"])]
)
def test_a_copy_needs_a_change_of_owner_while_the_task_was_open(partition: int, at: int, kinds: list[str]) -> None:
    story = Story()
    story.results.append(replace_result(story.results[1], offset=2))
    story.marks.append(Mark(Place(partition, 3), at))
    assert story.kinds() == kinds


def replace_result(result: Result, offset: int) -> Result:
    return result._replace(place=Place(0, offset), at=result.at + 1)


def test_starts_of_a_key_out_of_order() -> None:
    story = Story()
    story.starts = [_start("b", 1, 105), _start("a", 2, 110)]
    story.results = [_result("a", 0, 200), _result("b", 1, 400)]
    assert story.kinds() == ["reordered"]


def test_the_next_of_a_key_before_the_end_of_the_one_before() -> None:
    story = Story()
    story.starts[1] = _start("b", 2, 199)
    assert story.kinds() == ["reordered"]


def test_a_state_that_missed_a_task() -> None:
    story = Story()
    story.results[1] = story.results[1]._replace(nth=1)
    assert story.kinds() == ["reordered"]


def test_a_failure_is_wrong() -> None:
    """And nothing more: a task that does not end well does not count in its key's state."""
    story = Story()
    story.results = [story.results[0]._replace(fine=False), story.results[1]._replace(nth=1)]
    assert story.kinds() == ["wrong"]


def test_a_result_of_another_task_is_wrong() -> None:
    story = Story()
    story.results[0] = story.results[0]._replace(input=7)
    assert story.kinds() == ["wrong"]


def test_a_call_after_its_answer_was_on_the_log() -> None:
    story = Story()
    story.acts.append(Act("a/1", 151, "two"))
    story.taken.append(Mark(Place(0, 4), 140))
    assert story.kinds() == ["repeated"]


def test_the_one_excuse_the_answer_came_behind_the_markers_of_whoever_called() -> None:
    """Two owners at once: what one appends after the other has read the log cannot have been seen by it."""
    story = Story()
    story.taken.append(Mark(Place(0, 1), 130))
    story.answers[0] = Answer("a/1", Place(0, 2), 150, 0)
    story.answers[1] = Answer("b/1", Place(0, 3), 350, 1)
    story.acts.insert(1, Act("a/1", 160, "two"))
    assert story.kinds() == []
    story.acts[1] = Act("a/1", 151 + OVERLAP_MS, "two")
    assert story.kinds() == ["repeated"], "but not for ever"


def test_a_call_in_flight_is_repeated_only_by_another_owner() -> None:
    story = Story()
    story.acts.insert(1, Act("a/1", 130, "two"))
    story.ended["one"] = 125
    assert story.kinds() == ["repeated"], "nobody took the partition in between"
    story.taken.append(Mark(Place(0, 1), 127))
    story.answers[0] = Answer("a/1", Place(0, 2), 150, 1)
    assert story.kinds() == []
    assert in_flight(story.evidence()) == 1


def test_a_worker_does_not_repeat_itself() -> None:
    story = Story()
    story.acts.insert(1, Act("a/1", 130, "one"))
    assert story.kinds() == ["repeated"]
    story.acts[0] = story.acts[0]._replace(failed=True)
    assert story.kinds() == [], "a call that failed may be tried again"


def test_a_story_can_be_told_without_acts() -> None:
    """As of another platform, of which only inputs and outputs are known."""
    lane = replace(Story().evidence().lanes[0], starts=(), marks=(), serial=False, counted=False)
    assert check(Evidence([lane])) == []
