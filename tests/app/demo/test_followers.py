"""Following a side, and knowing when nothing more will come."""

from __future__ import annotations

from collections.abc import Sequence

from aiosv3.app.demo.calls import Tally
from aiosv3.app.demo.followers import Follower, Seen, Settling
from aiosv3.app.demo.sides import ResultRecord
from aiosv3.app.demo.topiclog import Raw


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Log:
    """A topic that hands out batches of task names."""

    def __init__(self, *batches: str) -> None:
        self._batches = list(batches)

    def fresh(self, timeout_s: float) -> list[Raw]:
        names = self._batches.pop(0) if self._batches else ""
        return [Raw(0, 0, 5, (), name.encode()) for name in names]


def read(raws: Sequence[Raw]) -> list[Seen]:
    """Whatever is not ``x``, a record of another run."""
    names = [(raw.value or b"").decode() for raw in raws]
    return [Seen(ResultRecord(f"r.{name}", 5), f"{name}!") for name in names if name != "x"]


def test_results_are_counted_by_task() -> None:
    follower = Follower("ours", Log("ab", "", "ax"), read)
    assert [follower.look(0.0) for _ in range(3)] == [2, 0, 2]
    assert (follower.done, len(follower.records), len(follower.raws)) == (2, 3, 4)
    shown = follower.progress(5, Tally(calls=4))
    assert (shown.done, shown.of, shown.done_twice, shown.calls.calls) == (2, 5, 1, 4)
    assert shown.last == ("a!", "b!", "a!")


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    clock = Clock()
    follower = Follower("ours", Log("abcde", "", "f"), read, clock)
    follower.look(0.0)
    assert follower.progress(9, Tally()).rate == 0.5
    clock.now += 11
    follower.look(0.0)
    follower.look(0.0)
    assert follower.progress(9, Tally()).rate == 0.1


def test_late_copies_are_waited_for() -> None:
    follower = Follower("ours", Log("a", "aa", "", "b"), read)
    follower.quiet(0.0)
    assert (follower.done, len(follower.records)) == (1, 3)


def test_nothing_left_to_do() -> None:
    clock, asked = Clock(), []

    def is_empty() -> bool:
        asked.append(clock.now)
        return True

    settling = Settling(is_empty, 4.0, clock)
    assert not settling.is_over(0, 0)
    clock.now += 5
    assert settling.is_over(0, 0)
    assert asked == [105.0]


def test_a_result_or_a_call_in_hand_begins_the_wait_anew() -> None:
    clock = Clock()
    settling = Settling(lambda: True, 4.0, clock)
    clock.now += 5
    assert not settling.is_over(1, 0)
    clock.now += 3
    assert not settling.is_over(1, 1)
    clock.now += 3
    assert not settling.is_over(1, 0)
    clock.now += 2
    assert settling.is_over(1, 0)


def test_uncommitted_tasks_will_be_looked_at_and_the_broker_is_asked_once_a_second() -> None:
    clock, asked = Clock(), []

    def is_empty() -> bool:
        asked.append(clock.now)
        return len(asked) > 1

    settling = Settling(is_empty, 4.0, clock)
    clock.now += 10
    assert not settling.is_over(0, 0)
    clock.now += 0.5
    assert not settling.is_over(0, 0)
    clock.now += 1
    assert settling.is_over(0, 0)
    assert len(asked) == 2
