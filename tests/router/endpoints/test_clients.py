"""The client pool: bounded, spread thin, closed for good."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from aiosv3.router.endpoints.clients import ClientLimits, ClientPool
from aiosv3.router.endpoints.errors import Unreachable


async def test_clients_are_opened_as_calls_need_them() -> None:
    pool = ClientPool("http://127.0.0.1:1", ClientLimits(in_flight=10, connections_a_client=4))
    async with AsyncExitStack() as calls:
        lent = [await calls.enter_async_context(pool.lend()) for _ in range(10)]
        assert pool.opened == 3
        assert max(lent.count(client) for client in lent) == 4
    async with pool.lend():
        assert pool.opened == 3
    await pool.aclose()


async def test_calls_beyond_the_limit_wait() -> None:
    pool = ClientPool("http://127.0.0.1:1", ClientLimits(in_flight=1))
    entered = asyncio.Event()

    async def second() -> None:
        async with pool.lend():
            entered.set()

    async with pool.lend():
        task = asyncio.create_task(second())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(entered.wait(), 0.05)
    await asyncio.wait_for(task, 5)
    await pool.aclose()


async def test_one_call_after_the_other_keeps_one_client() -> None:
    pool = ClientPool("http://127.0.0.1:1")
    for _ in range(5):
        async with pool.lend():
            assert pool.opened == 1
    await pool.aclose()
    with pytest.raises(Unreachable):
        async with pool.lend():
            pass
