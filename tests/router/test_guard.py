from __future__ import annotations

from dataclasses import replace

import pytest

from aiosv3.router.admission import AdmissionPolicy
from aiosv3.router.breaker import BreakerPolicy, Circuit
from aiosv3.router.endpoints.endpoint import Completed
from aiosv3.router.endpoints.errors import (
    Advice,
    CredentialsRefused,
    EndpointError,
    Overloaded,
    RateLimited,
    SchemaViolated,
    ServerFault,
)
from aiosv3.router.guard import Guard, GuardPolicy, NoBacking

ANSWER = Completed("hi", None, "stop", 10, 21, 0, "id", 200)


class Clock:
    """Seconds, by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> Guard:
    return Guard(GuardPolicy(BreakerPolicy(failures=2), AdmissionPolicy(first=1.0)), clock=clock)


def test_a_full_server_rests_without_a_word_against_it(guard: Guard, clock: Clock) -> None:
    guard.failed(Overloaded("full", status=503))
    assert guard.breaker.state is Circuit.CLOSED
    assert 0.5 <= guard.resting() <= 1.0
    assert guard.refusal() == "is full (Overloaded 503)"
    clock.now += 1.0
    assert guard.refusal() is None


def test_where_it_says_for_how_long_that_is_obeyed(guard: Guard) -> None:
    guard.failed(RateLimited("slow down", status=429, retry_after_s=30.0))
    assert guard.resting() == 30.0
    assert guard.admission.remaining() == 0.0


def test_a_used_up_quota_opens_the_breaker(guard: Guard) -> None:
    guard.failed(RateLimited("no money", status=429, advice=Advice(reroute=True, trips_breaker=True)))
    assert guard.breaker.state is Circuit.OPEN
    assert guard.resting() == 60.0


@pytest.mark.parametrize("error", [CredentialsRefused("no", status=401)])
def test_what_only_a_person_mends_opens_at_once(guard: Guard, error: EndpointError) -> None:
    guard.failed(error)
    assert guard.refusal() == "is cooling down: CredentialsRefused 401"


def test_what_speaks_against_the_request_says_nothing(guard: Guard) -> None:
    for _ in range(10):
        guard.failed(SchemaViolated("no JSON"))
    assert guard.refusal() is None


def test_it_is_on_trial_after_its_cooldown(guard: Guard, clock: Clock) -> None:
    for _ in range(2):
        guard.failed(ServerFault("oops", status=500))
    clock.now += guard.resting()
    assert guard.ailing() == "on trial after ServerFault 500"
    assert guard.refusal() is None
    assert guard.refusal() is not None, "one probe at a time"
    guard.answered(ANSWER, 600)
    assert (guard.ailing(), guard.refusal()) == (None, None)


def test_slow_is_ailing_and_not_down(guard: Guard) -> None:
    for _ in range(60):
        guard.answered(ANSWER, 600)
    for _ in range(20):
        guard.answered(replace(ANSWER, first_token_ms=3_000), 3_400)
    assert str(guard.ailing()).startswith("slow: 3.0 s")
    assert guard.refusal() is None


async def test_a_server_that_cannot_be_asked(clock: Clock) -> None:
    class Starts(NoBacking):
        def blocked(self) -> str | None:
            return "its server starts"

    guard = Guard(backing=Starts(), clock=clock)
    assert guard.refusal() == "its server starts"
    await guard.backing.wake()
    assert Guard().backing.load() is None
