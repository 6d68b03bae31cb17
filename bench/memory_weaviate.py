"""The Weaviate view beside a bare client that does the same writes and the same queries, in turn, on one server.

``python bench/memory_weaviate.py --url http://127.0.0.1:8080 [--grpc-port 50051] [--memories 5000] [--searches 200]``.
The bare client inserts the same objects, in batches of the same size, and sends the same hybrid queries with the same
filters; it does not look for other versions, which the view does before and after it writes. What both make is dropped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final
from uuid import uuid4

from measures import ratios
from memory_find import Maker
from weaviate import WeaviateAsyncClient
from weaviate.classes.data import DataObject

from aiosv3.memory.views import Put, Query
from aiosv3.memory.views.weaviate import Address, Generations, Server, WeaviateView
from aiosv3.memory.views.weaviate.asking import found
from aiosv3.memory.views.weaviate.objects import object_of, tenant_key

_AT_ONCE: Final = 500
_SCOPES: Final = [f"team:{number}" for number in range(10)]
_NOW: Final = 1_750_000_000_000


async def seconds(work: Awaitable[object]) -> float:
    """How long it took."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


class Pair:
    """The view, and a bare client on a collection of the same settings."""

    def __init__(self, view: WeaviateView, client: WeaviateAsyncClient, bare: str, tenant: str) -> None:
        self._view = view
        self._tenant = tenant
        self._objects: Any = client.collections.use(bare).with_tenant(tenant_key(tenant))

    async def ours(self, batch: list[Put]) -> None:
        """Written by the view."""
        await self._view.apply(batch)

    async def theirs(self, objects: list[DataObject[dict[str, Any], None]]) -> None:
        """Inserted as they are, and that is all."""
        answer = await self._objects.data.insert_many(objects)
        assert not answer.has_errors, answer.errors

    async def find_ours(self, query: Query) -> None:
        """Found by the view."""
        assert await self._view.search(query)

    async def find_theirs(self, query: Query) -> None:
        """The request alone."""
        assert await found(self._objects, query, _NOW, dense=True)


async def measured(pair: Pair, maker: Maker, memories: int, searches: int) -> dict[str, object]:
    """Both in turn, batch by batch, each of them first in every second: what else the machine does is shared."""
    writes: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number, start in enumerate(range(0, memories, _AT_ONCE)):
        batch = maker.batch(start, min(_AT_ONCE, memories - start), embedded=True)
        objects = [object_of(put.entry.id, put) for put in batch]
        work: dict[str, Callable[[], Awaitable[None]]]
        work = {"ours": partial(pair.ours, batch), "theirs": partial(pair.theirs, objects)}
        for name in sorted(work, reverse=bool(number % 2)):
            writes[name].append(await seconds(work[name]()))
    tenant = batch[0].entry.tenant
    finds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number, vector in enumerate(maker.vectors(searches)):
        query = Query(tenant, _SCOPES, maker.text(6), vector, batch[0].entry.embedder)
        work = {"ours": partial(pair.find_ours, query), "theirs": partial(pair.find_theirs, query)}
        for name in sorted(work, reverse=bool(number % 2)):
            finds[name].append(await seconds(work[name]()))
    return {
        "memories": memories,
        "writes_per_s": {name: round(memories / sum(taken)) for name, taken in writes.items()},
        "write_ratio": round(ratios(writes["ours"], writes["theirs"]).median, 3),
        "search_ms_p50": {name: round(1000 * statistics.median(taken), 2) for name, taken in finds.items()},
        "search_ratio": round(ratios(finds["ours"], finds["theirs"]).median, 3),
    }


async def run(given: argparse.Namespace) -> dict[str, object]:
    """One run on a server that is there."""
    name = f"Bench{uuid4().hex[:8]}"
    address = Address(given.url, given.grpc_port, timeout=60.0, patience=60.0)
    view, twin, server = Generations(address, name).live(), Generations(address, f"{name}Bare").live(), Server(address)
    maker = Maker()
    (first,) = maker.batch(0, 1, embedded=True)
    try:
        async with server.asked("measure", 3600.0) as client:
            # One write each makes the collection, the tenant and the vector index.
            await view.apply([first])
            await twin.apply([first])
            result = await measured(
                Pair(view, client, twin.name, first.entry.tenant), maker, given.memories, given.searches
            )
            for each in (name, f"{name}Bare"):
                alias = await client.alias.get(alias_name=each)
                await client.alias.delete(alias_name=each)
                if alias is not None:
                    await client.collections.delete(alias.collection)
        return result
    finally:
        for closing in (view, twin, server):
            await closing.close()


def main() -> None:
    """Prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--grpc-port", type=int, default=50_051)
    parser.add_argument("--memories", type=int, default=5000)
    parser.add_argument("--searches", type=int, default=200)
    print(json.dumps(asyncio.run(run(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()
