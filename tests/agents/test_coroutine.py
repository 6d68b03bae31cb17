"""How an agent's coroutine ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aiosv3.agents.coroutine import ending_of
from aiosv3.agents.errors import ModelRefused
from aiosv3.schemas.records import Outcome


async def _value() -> int:
    return 7


async def _step_error() -> None:
    raise ModelRefused("no", step="3")


async def _other_error() -> None:
    raise KeyError


async def _itself() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        (_value, (Outcome.OK, None, 7)),
        (_step_error, (Outcome.FAILED, ("ModelRefused", "no", "3"), None)),
        (_other_error, (Outcome.FAILED, ("KeyError", "KeyError", None), None)),
        (_itself, (Outcome.FAILED, ("CancelledError", "the agent cancelled itself", None), None)),
    ],
)
async def test_every_way_to_end(program: Callable[[], Awaitable[Any]], ended: tuple[Any, ...]) -> None:
    main = asyncio.ensure_future(program())
    await asyncio.wait([main])
    assert isinstance(main, asyncio.Task)
    outcome, failure, value = ending_of(main)
    told = None if failure is None else (failure.type, failure.message, failure.step)
    assert (outcome, told, value) == ended
