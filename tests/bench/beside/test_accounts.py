"""What a kill -9 is said to have done."""

from __future__ import annotations

import math

import pytest
from beside.accounts import Account, Mark, StepAccount, account, marks_of, step_account, successor
from beside.steps import asked_for

NAMES = ["a", "b", "c", "d"]


def marks(*lines: str) -> list[Mark]:
    return marks_of("\n".join(lines))


def test_a_line_that_the_kill_cut_off_is_none() -> None:
    assert marks_of("b one 1.500000\ne one 2.000000\nb two 2\nb tw") == [
        Mark(False, "one", 1.5),
        Mark(True, "one", 2.0),
    ]


def test_nothing_lost_and_nothing_again() -> None:
    seen = marks("b a 1.0", "e a 1.1", "b b 12.0", "e b 12.1", "b c 12.0", "b d 12.0")
    results = [("a", 1.2), ("b", 12.2), ("c", 12.2), ("d", 12.2)]
    assert account(NAMES, results, seen, 10.0) == Account(0, 0, 0, 0, 2.0)


def test_each_kind_of_harm_is_counted_once() -> None:
    """``a`` had a result and was done again; ``b`` was cut off; ``c`` is gone; ``d`` has two results."""
    seen = marks("b a 1.0", "e a 1.1", "b b 9.0", "b c 9.0", "b d 12.5", "b a 13.0", "e a 13.1", "b b 13.0", "e b 13.1")
    results = [("a", 1.2), ("a", 13.2), ("b", 13.2), ("d", 13.3), ("d", 13.4)]
    assert account(NAMES, results, seen, 10.0) == Account(lost=1, duplicated=2, repeated=1, cut=1, recovery=2.5)


def test_a_result_after_the_kill_does_not_make_its_work_finished_before_it() -> None:
    """What ended before the kill, but was not on the log, is cut off: nobody could know of it."""
    seen = marks("b a 9.0", "e a 9.9", "b a 12.0", "e a 12.1")
    assert account(["a"], [("a", 12.2)], seen, 10.0) == Account(0, 0, 0, 1, 2.0)


def test_work_that_never_goes_on_has_no_recovery() -> None:
    found = account(["a"], [], marks("b a 9.0"), 10.0)
    assert found.lost == 1
    assert math.isnan(found.recovery)


def test_steps_are_told_apart_by_what_became_of_them_before_the_kill() -> None:
    """1: its successor had begun. 2: it had returned. 3: it was at work."""
    seen = marks(
        "b w-1/1 1.0", "e w-1/1 1.1", "b w-1/2 1.2",
        "b w-2/1 1.0", "e w-2/1 1.1",
        "b w-3/1 1.0",
        "b w-1/1 5.5", "b w-2/1 5.5", "b w-3/1 5.6", "b w-4/1 5.7",
    )  # fmt: skip
    assert step_account(4, 3, seen, 5.0) == StepAccount(lost=1, repeated=1, returned=1, cut=1, recovery=0.5)


def test_what_was_never_asked_for_is_not_lost() -> None:
    """A process that is killed while it still asks has only those on its books that it asked for."""
    assert asked_for("q w-0 1.0\nb w-0/1 1.1\nq w-1 1.2\n", 400) == 2
    assert asked_for("b w-0/1 1.1\n", 400) == 400


@pytest.mark.parametrize(("step", "after"), [("w-1/1", "w-1/2"), ("a/b/9", "a/b/10")])
def test_the_successor_of_a_step(step: str, after: str) -> None:
    assert successor(step) == after
