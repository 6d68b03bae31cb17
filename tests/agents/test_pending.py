"""How a waiting step gets its answer, its error or its timeout."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiosv3.agents.errors import StepError, StepTimeout, ToolFailed
from aiosv3.agents.facts import JournalEntry
from aiosv3.agents.pending import Pending, retrieve
from aiosv3.agents.steps import Step
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome

ENTRY = JournalEntry(1, 2, JournalRecord("t", 0, "1", None, JournalKind.VALUE, Outcome.OK))


def fails(_entry: JournalEntry) -> Any:
    raise ToolFailed("broken")


async def test_an_answer_resolves_and_an_error_raises_where_it_is_awaited() -> None:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    Pending(Step("1", "", 0), future, lambda entry: entry.offset).settle(ENTRY)
    assert await future == 1
    future = asyncio.get_running_loop().create_future()
    Pending(Step("1", "", 0), future, fails).settle(ENTRY)
    with pytest.raises(StepError, match="broken"):
        await future


async def test_a_timeout_says_how_long_and_whom() -> None:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    Pending(Step("4", "", 1_000, due=61_000), future, fails).expire()
    with pytest.raises(StepTimeout, match=r"no answer within 0:01:00") as caught:
        await future
    assert caught.value.step == "4"


async def test_what_nobody_waits_for_changes_nothing() -> None:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.cancel()
    for pending in (Pending(Step("1", "", 0, due=5), future, fails),):
        pending.settle(ENTRY)
        pending.expire()
    retrieve(future)
    assert future.cancelled()


def test_a_timer_of_the_tasks_own_loop_is_called() -> None:
    called: list[JournalEntry] = []
    Pending(Step("1", "", 0), None, called.append).settle(ENTRY)
    assert called == [ENTRY]
