"""``ctx.run``: a function executed in the worker, outside the journal."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from aiosv3.agents.steps import LocalStep
from aiosv3.schemas.records import StepFailure

T_co = TypeVar("T_co", covariant=True)
_FIRST_BACKOFF_S: Final = 0.2
_ALIVE_S: Final = 0.5


class Keyed(Protocol[T_co]):
    """A function that is told the id of its step, ``task/step``: the same in each execution of that step."""

    def __call__(self, step_key: str) -> T_co:
        """Called with ``step_key=`` by name."""
        ...


def keyed(function: Callable[..., Any], step_key: str) -> Callable[[], Any]:
    """``function`` without its parameter ``step_key``, where it has one."""
    if _has_no_key(function):
        return function
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some of C's functions have no signature
        return function
    return partial(function, step_key=step_key) if "step_key" in parameters else function


def _has_no_key(function: Callable[..., Any]) -> bool:
    """True where a look at the code is enough: a signature costs more than all else of a step that is replayed."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__") or hasattr(function, "__signature__"):
        return False
    return "step_key" not in code.co_varnames


async def execute(step: LocalStep, alive: Callable[[], bool] = lambda: True) -> tuple[str | None, StepFailure | None]:
    """Runs the function up to ``step.attempts`` times; its value as JSON, or why it failed.

    Not while ``alive`` says no: whoever waited, or was held up, may have lost its partition meanwhile (rule 6).
    """
    for attempt in range(1, step.attempts + 1):
        while not alive():
            await asyncio.sleep(_ALIVE_S)
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
