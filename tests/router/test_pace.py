from __future__ import annotations

import pytest

from aiosv3.router.pace import Pace, PacePolicy


class Clock:
    """Seconds, by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(PacePolicy(recent=5, least=5, known=20), clock)


def answers(pace: Pace, count: int, first: float, token: float = 10.0) -> None:
    for _ in range(count):
        pace.answered(first + 20 * token, first, 21)


def test_without_a_history_nothing_is_slow(pace: Pace) -> None:
    answers(pace, 10, 9_000)
    assert pace.slow() is None
    assert pace.usual_ms() is None


def test_a_first_token_that_takes_far_longer_than_usual(pace: Pace) -> None:
    answers(pace, 30, 200)
    assert pace.usual_ms() == 200
    assert pace.slow() is None
    answers(pace, 5, 900)
    assert pace.slow() == "slow: 0.9 s to the first token, usually 0.2 s"


def test_tokens_that_drip(pace: Pace) -> None:
    answers(pace, 30, 200)
    answers(pace, 5, 200, token=80)
    assert pace.slow() == "slow: 80 ms a token, usually 10 ms"


def test_some_milliseconds_more_are_no_trouble(pace: Pace) -> None:
    answers(pace, 30, 20, token=1)
    answers(pace, 5, 200, token=9)
    assert pace.slow() is None


def test_it_recovers_with_fast_answers_and_with_silence(pace: Pace, clock: Clock) -> None:
    answers(pace, 30, 200)
    answers(pace, 5, 2_000)
    assert pace.slow() is not None
    answers(pace, 4, 200)
    assert pace.slow() is None
    answers(pace, 5, 2_000)
    assert pace.slow() is not None
    clock.now += 61.0
    assert pace.slow() is None, "what is old says nothing of now: the next calls are its trial"


def test_a_slow_hour_becomes_usual_only_slowly(pace: Pace) -> None:
    answers(pace, 60, 200)
    answers(pace, 40, 2_000)
    assert pace.slow() is not None


def test_calls_that_never_end_are_seen_too(pace: Pace, clock: Clock) -> None:
    answers(pace, 30, 200)
    tickets = [pace.began() for _ in range(8)]
    assert pace.slow() is None
    clock.now += 2.0
    assert pace.slow() == "slow: 8 of 8 calls are out for over 1.2 s"
    for ticket in tickets[:5]:
        pace.ended(ticket)
    assert pace.slow() is None


def test_one_long_answer_among_many_is_none(pace: Pace, clock: Clock) -> None:
    answers(pace, 30, 200)
    for _ in range(6):
        pace.began()
    clock.now += 2.0
    for _ in range(6):
        pace.began()
    assert pace.slow() is None


def test_an_endpoint_that_does_not_stream_is_judged_by_the_whole(pace: Pace) -> None:
    for _ in range(30):
        pace.answered(100, None, 50)
    for _ in range(5):
        pace.answered(4_000, None, 50)
    assert pace.slow() == "slow: 4.0 s to the first token, usually 0.1 s"
