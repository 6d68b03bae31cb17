"""How an agent's coroutine ended, as the end of its task."""

from __future__ import annotations

import asyncio
from typing import Any

from aiosv3.agents.errors import StepError
from aiosv3.schemas.records import Outcome, StepFailure


def ending_of(main: asyncio.Task[Any]) -> tuple[Outcome, StepFailure | None, Any]:
    """Outcome, failure and value of a coroutine that is done."""
    if main.cancelled():
        return Outcome.FAILED, StepFailure("CancelledError", "the agent cancelled itself", retryable=False), None
    error = main.exception()
    if error is None:
        return Outcome.OK, None, main.result()
    if isinstance(error, StepError):
        return Outcome.FAILED, error.failure(), None
    failure = StepFailure(type(error).__name__, str(error) or type(error).__name__, retryable=False)
    return Outcome.FAILED, failure, None
