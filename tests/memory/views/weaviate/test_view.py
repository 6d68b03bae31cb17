"""The view on a real Weaviate: several writers, what is left after a purge, a server that is killed.

Left out without ``AIOSV3_TEST_WEAVIATE=1``; what holds on all views is in ``test_contract.py``.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from aiosv3.memory.views import Change, Entry, PartialHits, Put, Query, Remove, VectorUnusable, ViewUnavailable
from aiosv3.memory.views.embedded import EmbeddedView
from aiosv3.memory.views.fallback import FallbackView
from aiosv3.memory.views.weaviate import Generations, Server, WeaviateView
from aiosv3.memory.views.weaviate import view as view_module
from aiosv3.memory.views.weaviate.objects import key, tenant_key

if TYPE_CHECKING:
    from tests.memory.views.conftest import WeaviateServer
    from weaviate.classes.data import DataObject

    from aiosv3.memory.views.weaviate.view import Objects

NOW = 1_700_000_000_000
DEADLINE_S = 90.0
pytestmark = [
    pytest.mark.weaviate,
    pytest.mark.xdist_group("weaviate"),
    pytest.mark.skipif(not os.environ.get("AIOSV3_TEST_WEAVIATE"), reason="AIOSV3_TEST_WEAVIATE=1 runs a Weaviate"),
]


def make(id_: str, version: int = 1, text: str = "tea", **changes: Any) -> Entry:
    told: dict[str, Any] = {"valid_from": NOW, "recorded_at": NOW, "content_hash": f"{id_}/{version}"}
    return Entry(id_, version, "acme", "tenant", "fact", text, **(told | changes))


def vector(*numbers: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(numbers, np.float32)


@pytest.fixture
async def view(generations: Generations) -> AsyncIterator[WeaviateView]:
    made = generations.live()
    yield made
    await made.close()


async def everything(server: WeaviateServer, name: str) -> list[Any]:
    """All objects of tenant acme, as they are on the server."""
    line = Server(server.address)
    async with line.asked("read") as client:
        found = [one async for one in client.collections.use(name).with_tenant(tenant_key("acme")).iterator()]
    await line.close()
    return found


async def test_two_writers_at_once_leave_one_version_of_each(
    weaviate: WeaviateServer, generations: Generations, view: WeaviateView
) -> None:
    """Each has all changes, in an order of its own: what counts is the same, and nothing else is left."""
    changes: list[Change] = [Put(make(f"m{number % 7}", version)) for version in range(5) for number in range(7)]
    changes += [Remove("acme", "m0", 4), Remove("acme", "m1", 2), Remove("acme", "m2", 9)]
    reference, other = EmbeddedView(), generations.live()
    await reference.apply(changes)

    async def write(writer: WeaviateView, seed: int) -> None:
        mine = list(changes)
        random.Random(seed).shuffle(mine)
        for change in mine:
            await writer.apply([change])

    await asyncio.gather(write(view, 1), write(other, 2), write(view, 3))
    assert await view.digest("acme") == await other.digest("acme") == await reference.digest("acme")
    left = Counter(one.properties["memory"] for one in await everything(weaviate, view.name))
    assert set(left.values()) == {1}
    await other.close()
    await reference.close()


async def test_a_version_that_was_beaten_while_it_was_written_does_not_stay(
    weaviate: WeaviateServer, generations: Generations, view: WeaviateView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other writer was ready before this one wrote: only this one can see both."""
    other, insert = generations.live(), view_module._insert

    async def late(there: Objects, objects: Sequence[DataObject[dict[str, Any], None]]) -> None:
        monkeypatch.undo()
        await other.apply([Put(make("a", 2, "newer"))])
        await insert(there, objects)

    monkeypatch.setattr(view_module, "_insert", late)
    await view.apply([Put(make("a", 1, "older")), Put(make("b"))])
    left = sorted(
        (one.properties["memory"], one.properties["version"]) for one in await everything(weaviate, view.name)
    )
    assert left == sorted([(key("a"), 2), (key("b"), 1)])
    await other.close()


async def test_more_than_one_batch(view: WeaviateView) -> None:
    entries = [make(f"{number:04}", text=f"tea w{number}") for number in range(1201)]
    await view.apply([Put(entry) for entry in entries])
    reference = EmbeddedView()
    await reference.apply([Put(entry) for entry in entries])
    assert await view.digest("acme") == await reference.digest("acme")
    assert len(await view.get("acme", [entry.id for entry in entries])) == 1201
    assert await view.purge("acme", ids=[entry.id for entry in entries[:600]]) == 600
    assert (await view.digest("acme")).count == 601
    await reference.close()


async def test_a_purge_leaves_nothing_that_says_anything(weaviate: WeaviateServer, view: WeaviateView) -> None:
    told = {"subject": "s", "source": "chat", "speaker": "Ada", "vector": vector(1, 0), "embedder": "m"}
    await view.apply([Put(make("a", 1, "the secret", **told)), Put(make("b"))])
    assert await view.purge("acme", subject="s") == 1
    left = [one for one in await everything(weaviate, view.name) if one.properties["gone"]]
    ((properties, vectors),) = [(one.properties, one.vector) for one in left]
    assert {name for name, value in properties.items() if value is not None} == {"memory", "version", "gone"}
    assert not vectors
    assert await view.search(Query("acme", ["tenant"], "secret", vector(1, 0), "m")) == []


async def test_vectors_of_other_embedders_may_be_longer_of_the_same_may_not(view: WeaviateView) -> None:
    await view.apply([Put(make("a", vector=vector(1, 0), embedder="short"))])
    await view.apply([Put(make("b", vector=vector(1, 0, 0), embedder="long"))])
    for embedder, asked in (("short", vector(1, 0)), ("long", vector(1, 0, 0))):
        hits = await view.search(Query("acme", ["tenant"], vector=asked, embedder=embedder))
        assert [hit.entry.id for hit in hits] == [{"short": "a", "long": "b"}[embedder]]
    with pytest.raises(VectorUnusable):
        await view.apply([Put(make("c", vector=vector(1, 0, 0), embedder="short"))])
    with pytest.raises(VectorUnusable):
        await view.apply([Put(make("c", vector=vector(0, 0), embedder="short"))])


async def test_a_server_that_is_killed_while_it_is_written_to(own_weaviate: WeaviateServer) -> None:
    """Recalls are answered all along, and say so; afterwards the server has what it must have."""
    given = own_weaviate.address
    live = Generations(type(given)(given.url, given.grpc_port, timeout=2.0, patience=2.0), "Test").live()
    view, reference = FallbackView(live, EmbeddedView(), 10_000, retry=0.05), EmbeddedView()
    killed, partial = asyncio.Event(), 0

    async def write() -> None:
        for number in range(300):
            some: list[Change] = [Put(make(f"m{place}", number, f"tea w{number}")) for place in range(number % 5 + 1)]
            some.append(Remove("acme", "m3", number - 1))
            await asyncio.gather(view.apply(some), reference.apply(some))
            if number == 100:
                killed.set()

    writing = asyncio.create_task(write())
    await killed.wait()
    own_weaviate.stop(0.0)
    while not writing.done():
        hits = await view.search(Query("acme", ["tenant"], "tea"))
        partial += isinstance(hits, PartialHits)
        assert hits
        await asyncio.sleep(0)
    await writing
    assert partial > 0
    with pytest.raises(ViewUnavailable):
        await view.digest("acme")
    await asyncio.to_thread(own_weaviate.start)
    async with asyncio.timeout(DEADLINE_S):
        while view.trouble is not None:
            await asyncio.sleep(0.05)
    assert await view.digest("acme") == await reference.digest("acme")
    assert not isinstance(await view.search(Query("acme", ["tenant"], "tea")), PartialHits)
    await view.close()
    await reference.close()
