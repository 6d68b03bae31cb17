"""A server that is not there, or says nothing: whoever asks hears so, in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest

from aiosv3.app.localstack.ports import LOOPBACK, free_port
from aiosv3.memory.views import Put, Query, View, ViewUnavailable
from aiosv3.memory.views.embedded import EmbeddedView
from aiosv3.memory.views.fallback import FallbackView
from aiosv3.memory.views.port import Entry, PartialHits
from aiosv3.memory.views.weaviate import Address, Generations

DEADLINE_S: Final = 30.0
ENTRY: Final = Entry("a", 1, "acme", "tenant", "fact", "tea", 0, 0, "hash")
QUERY: Final = Query("acme", ["tenant"], "tea")
WORK: Final[dict[str, Callable[[View], Awaitable[Any]]]] = {
    "apply": lambda view: view.apply([Put(ENTRY)]),
    "search": lambda view: view.search(QUERY),
    "get": lambda view: view.get("acme", ["a"]),
    "digest": lambda view: view.digest("acme"),
    "purge": lambda view: view.purge("acme", ids=["a"]),
}


def address(port: int) -> Address:
    return Address(f"http://{LOOPBACK}:{port}", free_port(), timeout=0.2, patience=0.2)


@pytest.fixture
async def silent() -> AsyncIterator[int]:
    """Takes connections, and never answers."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("what", WORK)
async def test_nobody_is_there(what: str) -> None:
    view = Generations(address(free_port()), "Test").live()
    with pytest.raises(ViewUnavailable, match=what):
        await WORK[what](view)
    await view.close()


@pytest.mark.parametrize("what", ["apply", "search"])
async def test_it_says_nothing(silent: int, what: str) -> None:
    view = Generations(address(silent), "Test").live()
    began = time.monotonic()
    with pytest.raises(ViewUnavailable):
        await WORK[what](view)
    assert time.monotonic() - began < DEADLINE_S
    await view.close()


async def test_memories_are_found_all_the_same() -> None:
    view = FallbackView(Generations(address(free_port()), "Test").live(), EmbeddedView(), 10)
    await view.apply([Put(ENTRY)])
    hits = await view.search(QUERY)
    assert isinstance(hits, PartialHits)
    assert [hit.entry.id for hit in hits] == ["a"]
    await view.close()
