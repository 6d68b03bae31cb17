from __future__ import annotations

from dataclasses import replace

from aiosv3.router.endpoints.errors import BadRequest, ContextTooLong, ServerFault
from aiosv3.router.routing.overflow import OVERFLOW, next_route, outcome_of
from aiosv3.schemas.headers import Route
from aiosv3.schemas.records import Outcome, StepFailure

ROUTE = Route("a", 0.2, 10, 10)


def test_the_first_overflow_goes_elsewhere_and_the_second_is_final() -> None:
    outcome, failure = outcome_of(ContextTooLong("too long"), "p", ROUTE)
    assert (outcome, failure.type) == (Outcome.REFUSED, OVERFLOW)
    again = next_route(ROUTE, "p", 8_000, failure)
    assert (again.attempt, again.tried, again.overflow) == (2, ("p",), 8_000)
    outcome, failure = outcome_of(ContextTooLong("too long"), "q", again)
    assert (outcome, failure.type, failure.retryable) == (Outcome.FAILED, "ModelRefused", False)
    assert "shorten" in failure.message


def test_other_failures_are_as_they_were() -> None:
    assert outcome_of(ServerFault("x"), "p", ROUTE)[1] == StepFailure("ModelUnavailable", "p: ServerFault: x", True)
    assert outcome_of(BadRequest("x"), "p", ROUTE)[0] is Outcome.FAILED
    later = next_route(replace(ROUTE, overflow=8_000), "q", 4_000, StepFailure("ModelUnavailable", "x", True))
    assert later.overflow == 8_000, "what was learned of the length is kept"
