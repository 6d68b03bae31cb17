"""Deltas that are late, twice, or lost."""

from __future__ import annotations

from aiosv3.agents.client.folding import Folding, Shown
from aiosv3.schemas.deltas import Delta, DeltaKind


def delta(sequence: int, attempt: int = 1, epoch: int = 0, kind: DeltaKind = DeltaKind.TOKEN, step: str = "1") -> Delta:
    return Delta("t", "t", "a", step, attempt, epoch, sequence, kind, content="x")


def test_in_order_each_is_shown_once() -> None:
    folding = Folding()
    assert [folding.take(delta(n)) for n in (0, 1, 1, 2)] == [Shown(), Shown(), None, Shown()]


def test_a_hole_is_a_loss_and_what_fills_it_later_is_too_late() -> None:
    folding = Folding()
    assert [folding.take(delta(n)) for n in (0, 3, 1)] == [Shown(), Shown(missing=2), None]
    assert folding.take(delta(5, kind=DeltaKind.END)) == Shown(missing=1)


def test_a_higher_attempt_erases_and_the_lower_one_is_out_of_date() -> None:
    folding = Folding()
    folding.take(delta(0))
    assert folding.take(delta(0, attempt=2)) == Shown(erases=True)
    assert folding.take(delta(1)) is None
    assert folding.take(delta(2, attempt=2)) == Shown(missing=1)


def test_another_worker_of_the_same_attempt_erases_too() -> None:
    folding = Folding()
    folding.take(delta(0, epoch=4))
    assert folding.take(delta(0, epoch=9)) == Shown(erases=True)
    assert folding.take(delta(1, epoch=4)) is None


def test_a_call_that_begins_again_erases() -> None:
    folding = Folding()
    folding.take(delta(0))
    folding.take(delta(1))
    assert [folding.take(delta(n)) for n in (0, 1)] == [Shown(erases=True), Shown()]


def test_a_new_attempt_whose_beginning_is_lost_erases_and_says_so() -> None:
    folding = Folding()
    folding.take(delta(0))
    assert folding.take(delta(2, attempt=2)) == Shown(erases=True, missing=2)


def test_there_is_nothing_to_erase_where_nothing_stands() -> None:
    folding = Folding()
    folding.take(delta(0, kind=DeltaKind.END))
    assert folding.take(delta(0, attempt=2)) == Shown()


def test_steps_and_tasks_are_apart_and_progress_is_always_shown() -> None:
    folding = Folding()
    assert folding.take(delta(0)) == folding.take(delta(0, step="2")) == Shown()
    assert folding.take(delta(7, kind=DeltaKind.PROGRESS, step="p")) == Shown()
    assert folding.take(delta(7, kind=DeltaKind.PROGRESS, step="p")) == Shown()


def test_a_reader_that_begins_in_the_middle_has_lost_nothing() -> None:
    folding = Folding(from_start=False)
    assert [folding.take(delta(n)) for n in (5, 6, 8)] == [Shown(), Shown(), Shown(missing=1)]
