"""``ctx.run``: executed in a thread or on the loop, repeated, and never fatal to the worker."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import pytest

from aiosv3.agents.steps import LocalStep
from aiosv3.agents.worker.local import execute, keyed
from aiosv3.streams.eventloop import DeterministicLoop


def step(function: Callable[[], Any], attempts: int = 3) -> LocalStep:
    return LocalStep("4", "hash", 0, function=function, dump=json.dumps, attempts=attempts)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time here."""
    asked: list[float] = []

    async def pause(delay: float) -> None:
        asked.append(delay)

    monkeypatch.setattr(asyncio, "sleep", pause)
    return asked


async def test_a_plain_function_runs_in_a_thread() -> None:
    content, failure = await execute(step(lambda: threading.current_thread() is threading.main_thread()))
    assert (content, failure) == ("false", None)


async def test_a_coroutine_function_runs_on_the_loop() -> None:
    async def function() -> bool:
        return asyncio.get_running_loop() is loop

    loop = asyncio.get_running_loop()
    assert await execute(step(function)) == ("true", None)


async def test_what_a_plain_function_returns_may_be_awaited() -> None:
    async def inner() -> str:
        return "inside"

    assert await execute(step(partial(inner))) == ('"inside"', None)


async def test_a_failure_is_tried_again_and_longer_each_time(waits: list[float]) -> None:
    tries: list[int] = []

    async def function() -> str:
        tries.append(1)
        if len(tries) < 4:
            raise ValueError("not yet")
        return "at last"

    assert await execute(step(function, attempts=4)) == ('"at last"', None)
    assert waits == [0.2, 0.4, 0.8]


async def test_the_last_failure_is_told(waits: list[float]) -> None:
    async def function() -> str:
        raise ValueError(f"failed {len(waits)}")

    content, failure = await execute(step(function, attempts=2))
    assert content is None
    assert failure is not None
    assert (failure.type, failure.message, failure.retryable, failure.step) == (
        "ToolFailed",
        "ValueError: failed 1",
        False,
        "4",
    )


async def test_a_value_that_is_no_json_is_a_failure_too(waits: list[float]) -> None:
    async def function() -> object:
        return object()

    content, failure = await execute(step(function, attempts=1))
    assert content is None
    assert failure is not None
    assert failure.message.startswith("TypeError: ")
    assert waits == []


async def test_no_attempt_is_no_value() -> None:
    content, failure = await execute(step(lambda: 1, attempts=0))
    assert content is None
    assert failure is not None
    assert failure.message == "it may not be attempted at all"


def test_a_function_that_exits_fails_and_the_worker_goes_on() -> None:
    """On an asyncio loop SystemExit in a task ends the loop, so the process, and every next owner's after it."""

    async def leaves() -> None:
        sys.exit("goodbye")

    loop = DeterministicLoop(lambda: 0.0)
    task = loop.create_task(execute(step(leaves, attempts=1)))
    try:
        loop.run_until_idle()
        content, failure = task.result()
    finally:
        loop.close()
    assert content is None
    assert failure is not None
    assert failure.message == "SystemExit: goodbye"


async def test_a_cancelled_execution_is_cancelled() -> None:
    task = asyncio.ensure_future(execute(step(asyncio.Event().wait)))
    await asyncio.wait([task], timeout=0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_function_that_asks_for_its_step_key_gets_it() -> None:
    async def pays(step_key: str) -> str:
        return step_key

    def plain(*, step_key: str) -> str:
        return step_key

    for function in (pays, plain):
        assert await execute(step(keyed(function, "t/4"))) == ('"t/4"', None)
    assert await execute(step(keyed(lambda: 7, "t/4"))) == ("7", None)
    assert keyed(dict, "t/4") is dict


async def test_a_step_key_is_found_behind_partials_and_decorators() -> None:
    """A look at the code says no at once only where the signature would say no."""

    def pays(amount: int, step_key: str) -> list[Any]:
        return [amount, step_key]

    @wraps(pays)
    def outer(*arguments: Any, **named: Any) -> list[Any]:
        return pays(*arguments, **named)

    for function in (partial(pays, 5), partial(outer, 5), partial(partial(pays), amount=5)):
        assert keyed(function, "t/4")() == [5, "t/4"]
    given = partial(max, 1, 2)
    assert keyed(given, "t/4") is given

    def local() -> list[str]:
        step_key = ["mine"]
        step_key.append("alone")
        return step_key

    assert keyed(local, "t/4")() == ["mine", "alone"]


async def test_rule_06_a_function_waits_until_a_broker_has_answered_again(waits: list[float]) -> None:
    """Its process may have been stopped since the step was called, or between two attempts."""
    alive, seen = iter([False, False, True, False, True]), list[str]()

    def fails() -> None:
        seen.append("called")
        raise ValueError("as planned")

    def heard() -> bool:
        said = next(alive)
        seen.append("alive" if said else "not")
        return said

    await execute(step(fails, attempts=2), heard)
    assert seen == ["not", "not", "alive", "called", "not", "alive", "called"]
    assert len(waits) == 4
