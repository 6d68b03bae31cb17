from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import pytest

from aiosv3.router.endpoints.errors import Overloaded
from aiosv3.router.guard import ServerLoad
from aiosv3.router.vllm.server import LookPolicy, VllmServer, server_root

NOW = 1_750_000_000_000
WAKES = LookPolicy(every=1.0, stale=5.0, wakes=True, wake_s=5.0)


@pytest.fixture
def fake(fake_vllm: ModuleType) -> Iterator[Any]:
    with fake_vllm.FakeVllm() as server:
        yield server


@pytest.fixture
async def server(fake: Any) -> AsyncIterator[VllmServer]:
    made = VllmServer(fake.base_url, lambda: NOW, WAKES)
    yield made
    await made.aclose()


def test_metrics_are_beside_the_api() -> None:
    assert server_root("http://gpu-1:8000/v1/") == "http://gpu-1:8000"
    assert server_root("http://gpu-1:8000/llama") == "http://gpu-1:8000/llama"


async def test_its_load_is_what_it_says(fake: Any, server: VllmServer) -> None:
    assert server.load() is None
    fake.running, fake.waiting, fake.usage, fake.queries, fake.hits = 3, 1, 0.75, 100, 80
    assert await server.look()
    assert server.load() == ServerLoad(3, 1, 0.75, 0.8, NOW)


async def test_the_hit_rate_is_that_of_the_last_looks(fake: Any, server: VllmServer) -> None:
    rates = []
    for queries, hits in ((100, 80), (200, 90), (200, 90), (10, 5)):
        fake.queries, fake.hits = queries, hits
        await server.look()
        load = server.load()
        rates.append(None if load is None else load.prefix_hit_rate)
    assert rates == [0.8, 0.1, 0.1, 0.5], "since the look before; none since then; started anew"


async def test_old_numbers_do_not_count(fake: Any) -> None:
    server = VllmServer(fake.base_url, lambda: NOW, LookPolicy(stale=-1.0))
    fake.asleep = True
    assert await server.look()
    assert (server.load(), server.asleep, server.blocked()) == (None, False, None)
    await server.aclose()


async def test_a_server_that_says_nothing_is_no_fault() -> None:
    server = VllmServer("http://127.0.0.1:1/v1", lambda: NOW)
    assert not await server.look()
    assert (server.load(), server.blocked()) == (None, None)
    await server.aclose()


async def test_it_is_looked_at_no_more_than_once_in_a_while(fake: Any) -> None:
    server = VllmServer(fake.base_url, lambda: NOW, LookPolicy(every=30.0))
    watching = asyncio.ensure_future(server.watch())
    async with asyncio.timeout(30):
        while server.load() is None:
            await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    watching.cancel()
    assert fake.looks == 1
    await server.aclose()


async def test_a_server_that_sleeps_is_woken_once_for_all_who_ask(fake: Any, server: VllmServer) -> None:
    fake.asleep = True
    await server.look()
    assert server.asleep
    assert server.blocked() is None
    await asyncio.gather(*(server.wake() for _ in range(5)))
    assert (fake.wakes, server.asleep) == (1, False)
    await server.wake()
    assert fake.wakes == 1


async def test_one_that_cannot_be_woken_says_what_to_do(fake: Any, server: VllmServer) -> None:
    fake.asleep, fake.wakeable = True, False
    await server.look()
    with pytest.raises(Overloaded, match="VLLM_SERVER_DEV_MODE"):
        await server.wake()


async def test_a_pool_that_does_not_wake_is_blocked(fake: Any) -> None:
    server = VllmServer(fake.base_url, lambda: NOW)
    fake.asleep = True
    await server.look()
    assert "sleeps" in str(server.blocked())
    await server.aclose()


async def test_a_server_that_starts_is_blocked(fake: Any) -> None:
    server = VllmServer(fake.base_url, lambda: NOW, gate=lambda: "its server starts")
    assert server.blocked() == "its server starts"
