from __future__ import annotations

import pytest

from aiosv3.router.admission import Admission, AdmissionPolicy


def made(chance: float = 1.0) -> tuple[Admission, list[float]]:
    now = [50.0]
    return Admission(AdmissionPolicy(first=0.25, longest=2.0), lambda: now[0], lambda: chance), now


def test_each_refusal_after_a_wait_doubles_the_next_one() -> None:
    admission, now = made()
    waits = []
    for _ in range(5):
        admission.refused()
        waits.append(admission.remaining())
        now[0] += admission.remaining()
    assert waits == [0.25, 0.5, 1.0, 2.0, 2.0]
    assert admission.remaining() == 0.0


def test_calls_that_were_out_together_are_one_refusal() -> None:
    admission, _ = made()
    for _ in range(64):
        admission.refused()
    assert admission.remaining() == 0.25
    assert admission.refusals == 64


def test_an_answer_means_that_there_is_room() -> None:
    admission, now = made()
    admission.refused()
    now[0] += 0.25
    admission.refused()
    admission.passed()
    assert admission.remaining() == 0.0
    admission.refused()
    assert admission.remaining() == 0.25


@pytest.mark.parametrize(("chance", "wait"), [(0.0, 0.125), (0.5, 0.1875), (1.0, 0.25)])
def test_replicas_do_not_come_back_together(chance: float, wait: float) -> None:
    admission, _ = made(chance)
    admission.refused()
    assert admission.remaining() == wait
