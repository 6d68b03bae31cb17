from __future__ import annotations

import pytest

from aiosv3.router.breaker import Breaker, BreakerPolicy, Circuit, Cooldown


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
    cooldowns = {"Dead": Cooldown(8.0, at_once=True), "Away": Cooldown(2.0)}
    policy = BreakerPolicy(failures=3, cooldown=5.0, longest=12.0, longest_pause=600.0, cooldowns=cooldowns)
    return Breaker(policy, clock)


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
    assert breaker.opened == 1


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


def test_calls_that_were_out_when_it_opened_do_not_lengthen_it(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
    clock.now += 4.0
    breaker.failed()
    assert breaker.remaining() == 1.0


def test_calls_that_were_out_when_it_opened_do_not_end_its_rest(breaker: Breaker) -> None:
    breaker.pause(7.0)
    breaker.succeeded()
    assert breaker.remaining() == 7.0


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


def test_retry_after_is_obeyed_up_to_the_longest_pause(breaker: Breaker, clock: Clock) -> None:
    breaker.pause(7.0)
    assert breaker.state is Circuit.OPEN
    assert breaker.remaining() == 7.0
    breaker.pause(3_600.0)
    assert breaker.remaining() == 600.0, "longer than any cooldown: it was asked for"
    clock.now += 600.0
    assert breaker.allow()


def test_each_class_of_failure_has_its_cooldown(breaker: Breaker, clock: Clock) -> None:
    breaker.failed("Dead")
    assert breaker.remaining() == 8.0, "one is enough"
    clock.now += 200.0
    assert breaker.allow()
    breaker.succeeded()
    clock.now += 200.0
    breaker.failed("Away")
    breaker.failed("Away")
    assert breaker.state is Circuit.CLOSED
    breaker.failed("Away")
    assert breaker.remaining() == 2.0


def test_a_pool_that_answers_now_and_then_and_fails_mostly_is_opened_too(breaker: Breaker) -> None:
    """It says that it is up, and two failures in a row never become three."""
    for _ in range(10):
        breaker.failed()
        assert breaker.state is Circuit.CLOSED
        breaker.succeeded()
    breaker.failed()
    assert breaker.state is Circuit.OPEN


def test_old_failures_are_no_rate(breaker: Breaker, clock: Clock) -> None:
    for _ in range(10):
        breaker.failed()
        breaker.succeeded()
        clock.now += 10.0
    breaker.failed()
    assert breaker.state is Circuit.CLOSED
    assert breaker.error_rate() is not None
    clock.now += 100.0
    assert breaker.error_rate() is None


def test_one_that_opens_again_soon_after_it_closed_rests_longer(breaker: Breaker, clock: Clock) -> None:
    rests = []
    for _ in range(3):
        for _ in range(3):
            breaker.failed()
        rests.append(breaker.remaining())
        clock.now += breaker.remaining()
        assert breaker.allow()
        breaker.succeeded()
    assert rests == [5.0, 10.0, 12.0]
    clock.now += 100.0
    for _ in range(3):
        breaker.failed()
    assert breaker.remaining() == 5.0
