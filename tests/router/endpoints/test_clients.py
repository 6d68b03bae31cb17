"""The client pool: bounded, one connection used again and again, closed for good."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from aiosv3.router.endpoints.clients import ClientLimits, ClientPool
from aiosv3.router.endpoints.errors import Unreachable


async def _asked(pool: ClientPool, **headers: str) -> bytes:
    async with pool.lend() as client, client.stream("POST", "chat", headers=headers, content=b"{}") as response:
        return await response.read()


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
    await asyncio.wait_for(task, 30)
    await pool.aclose()


async def test_one_call_after_the_other_keeps_one_connection(misbehaving: Any) -> None:
    misbehaving.reply(200, b"well")
    pool = ClientPool(misbehaving.url)
    assert [await _asked(pool) for _ in range(5)] == [b"well"] * 5
    assert misbehaving.connections == 1
    await pool.aclose()
    with pytest.raises(Unreachable):
        await _asked(pool)


async def test_a_request_carries_what_it_is_given_and_no_more(misbehaving: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    misbehaving.reply(200, b"well", {"set-cookie": "seen=1; path=/"})
    pool = ClientPool(misbehaving.url.replace("127.0.0.1", "localhost"))  # an address would get no cookie back anyway
    for _ in range(2):
        await _asked(pool, **{"x-mine": "1"})
    asked = misbehaving.requests[-1].headers
    assert set(asked) == {"host", "x-mine", "content-length", "content-type"}
    await pool.aclose()


async def test_a_request_is_not_sent_again_on_a_connection_that_was_cut(misbehaving: Any) -> None:
    """The model may have been at work on it: whoever asked decides whether it is called again."""
    misbehaving.reply(200, b"well")
    misbehaving.raw(end="reset")
    pool = ClientPool(misbehaving.url)
    assert await _asked(pool) == b"well"
    with pytest.raises(aiohttp.ClientError):
        await _asked(pool)
    assert len(misbehaving.requests) == 2
    await pool.aclose()


async def test_an_answer_that_is_left_half_read_takes_its_connection_with_it(misbehaving: Any) -> None:
    misbehaving.stream(b"half", end="stall")
    pool = ClientPool(misbehaving.url)
    async with pool.lend() as client, client.stream("POST", "chat", headers={}) as response:
        assert await response.content.readany() == b"half"
    await asyncio.wait_for(misbehaving.gone.wait(), 30)
    await pool.aclose()
