"""``ctx.run``: a function executed in the worker, outside the journal."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, Final

from aiosv3.agents.steps import LocalStep
from aiosv3.schemas.records import StepFailure

_FIRST_BACKOFF_S: Final = 0.2


async def execute(step: LocalStep) -> tuple[str | None, StepFailure | None]:
    """Runs the function up to ``step.attempts`` times; its value as JSON, or why it failed."""
    for attempt in range(1, step.attempts + 1):
        try:
            return step.dump(await _call(step)), None
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- user code: whatever it raises becomes a journaled failure
            if attempt == step.attempts:
                text = f"{type(error).__name__}: {error}"
                return None, StepFailure("ToolFailed", text, retryable=False, step=step.id)
        await asyncio.sleep(_FIRST_BACKOFF_S * 2 ** (attempt - 1))
    return None, StepFailure("ToolFailed", "it may not be attempted at all", retryable=False, step=step.id)


async def _call(step: LocalStep) -> Any:
    if inspect.iscoroutinefunction(step.function):
        return await step.function()
    value = await asyncio.to_thread(step.function)
    return await value if inspect.isawaitable(value) else value
