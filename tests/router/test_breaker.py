from __future__ import annotations

import pytest

from aiosv3.router.breaker import Breaker, BreakerPolicy, Circuit


class Clock:
    """Seconds, by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(BreakerPolicy(failures=3, cooldown=5.0, longest=12.0), clock)


def test_it_opens_after_failures_in_a_row_only(breaker: Breaker) -> None:
    breaker.failed()
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    breaker.failed()
    assert breaker.allow()
    breaker.failed()
    assert breaker.state is Circuit.OPEN
    assert not breaker.allow()


def test_one_probe_goes_when_the_cooldown_is_over(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
    assert breaker.remaining() == 5.0
    clock.now += 5.0
    assert breaker.state is Circuit.HALF_OPEN
    assert breaker.allow()
    assert not breaker.allow()


def test_a_failed_probe_doubles_the_cooldown_up_to_the_longest(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
    for expected in (10.0, 12.0, 12.0):
        clock.now += breaker.remaining()
        assert breaker.allow()
        breaker.failed()
        assert breaker.remaining() == expected


def test_an_answered_probe_closes_it(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
    clock.now += 5.0
    assert breaker.allow()
    breaker.succeeded()
    assert breaker.state is Circuit.CLOSED
    assert breaker.remaining() == 0.0


def test_a_probe_without_a_verdict_lets_the_next_one_go(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
    clock.now += 5.0
    assert breaker.allow()
    breaker.undecided()
    assert breaker.allow()


def test_retry_after_is_obeyed_up_to_the_longest(breaker: Breaker, clock: Clock) -> None:
    breaker.pause(7.0)
    assert breaker.state is Circuit.OPEN
    assert breaker.remaining() == 7.0
    breaker.pause(3_600.0)
    assert breaker.remaining() == 12.0
    clock.now += 12.0
    assert breaker.allow()
