"""A prompt that was longer than its estimate: it goes once to a larger window, and to nobody after that."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aiosv3.router.endpoints.errors import ContextTooLong, EndpointError
from aiosv3.schemas.headers import Route
from aiosv3.schemas.records import Outcome, StepFailure

OVERFLOW: Final = "ContextTooLong"
"""``error.type`` of a completion that sends its request to a larger window. No asker ever gets it."""


def outcome_of(error: EndpointError, pool: str, route: Route) -> tuple[Outcome, StepFailure]:
    """How a failed call ends here: done with, or to be done elsewhere."""
    words = f"{pool}: {type(error).__name__}: {error}"
    elsewhere = error.reroute or error.retry
    if not isinstance(error, ContextTooLong):
        kind = "ModelUnavailable" if elsewhere else "ModelRefused"
        return Outcome.REFUSED if elsewhere else Outcome.FAILED, StepFailure(kind, words, retryable=elsewhere)
    if route.overflow is None:
        return Outcome.REFUSED, StepFailure(OVERFLOW, words, retryable=True)
    words = f"{words}; a window of {route.overflow} tokens was too small before: shorten the prompt"
    return Outcome.FAILED, StepFailure("ModelRefused", words, retryable=False)


def next_route(route: Route, pool: str, window: int, error: StepFailure | None) -> Route:
    """The route of the next attempt, after ``pool`` with its ``window`` did not answer."""
    overflowed = error is not None and error.type == OVERFLOW
    return replace(
        route,
        attempt=route.attempt + 1,
        tried=(*route.tried, pool),
        overflow=max(window, route.overflow or 0) if overflowed else route.overflow,
    )
