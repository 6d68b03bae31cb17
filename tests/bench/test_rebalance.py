"""What a rebalance is said to have done, out of the lines of workers."""

from __future__ import annotations

from rebalance import PARTITIONS, Change, Event, changes_in, handed_over, partition_of, pauses, told

EVENT = Event("killed", 100.0, 110.0)


def short(number: int, *times: float) -> list[Change]:
    """Beginnings of one short task."""
    return [Change("b", f"s-{number}", at) for at in times]


def test_lines_that_a_kill_cut_off_are_none() -> None:
    assert changes_in("b s-1 10.5\no 3 11.25\nb s-2\nv 3 12") == [Change("b", "s-1", 10.5), Change("o", "3", 11.25)]


def test_tasks_go_round() -> None:
    assert partition_of(f"s-{PARTITIONS + 3}") == partition_of("c-3") == "3"


def test_a_pause_is_the_longest_time_without_a_beginning_that_touches_the_event() -> None:
    before = [*short(1, 90.0), *short(1 + PARTITIONS, 99.5)]
    changes = [*before, *short(1 + 2 * PARTITIONS, 102.0), *short(1 + 3 * PARTITIONS, 109.0)]
    changes += [*short(1 + 4 * PARTITIONS, 111.5), *short(1 + 5 * PARTITIONS, 150.0)]
    assert pauses(EVENT, changes) == {"1": 7.0}


def test_a_hand_over_counts_from_the_giving_back_else_from_the_event() -> None:
    changes = [
        Change("v", "1", 101.0),
        Change("o", "1", 102.0),
        *short(1, 102.5),
        Change("o", "2", 106.0),
        *short(2, 99.0, 106.5),
        *short(3, 107.0),
    ]
    assert handed_over(EVENT, changes) == {"1": 1.5, "2": 6.5}


def test_what_was_done_twice_is_told_apart() -> None:
    changes = [
        *short(1, 99.0),
        *short(2, 99.0),
        Change("b", "c-9", 99.0),
        Change("b", "c-10", 99.0),
        Change("o", "1", 103.0),
        *short(1, 103.5),
        Change("b", "c-9", 103.6),
        Change("b", "c-10", 104.0),
        *short(2, 104.5),
    ]
    results = {"s-1": 99.5, "c-9": 140.0, "c-10": 140.0}
    found = told(EVENT, changes, results)
    assert found["moved"] == 1
    assert found["redone"] == 1, "its result was there before the event"
    assert found["twice_moved"] == 1, "the call that was in flight where the partition moved"
    assert found["twice_stayed"] == 2, "nothing moved there"
