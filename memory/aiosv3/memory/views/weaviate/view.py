"""The memory view on a Weaviate server: one collection, a tenant for each tenant, filters within the search."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from weaviate import WeaviateAsyncClient
from weaviate.classes.config import Configure
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter
from weaviate.collections.classes.filters import FilterReturn
from weaviate.collections.classes.internal import Object
from weaviate.collections.collection import CollectionAsync
from weaviate.exceptions import WeaviateInsertManyAllFailedError

from aiosv3.memory.views.digests import digest_over
from aiosv3.memory.views.embedded.diversity import diverse
from aiosv3.memory.views.errors import VectorUnusable, ViewUnavailable
from aiosv3.memory.views.port import Change, Digest, Entry, Hit, Put, Query, scan_order
from aiosv3.memory.views.weaviate.asking import answers_nothing, found, score_of
from aiosv3.memory.views.weaviate.objects import (
    Order,
    Stored,
    entry_of,
    gone_object,
    key,
    losers,
    newest,
    object_of,
    order_of,
    stored_of,
    tenant_key,
    vector_name,
)
from aiosv3.memory.views.weaviate.server import Server

if TYPE_CHECKING:
    from aiosv3.memory.views.port import Vector

Objects: TypeAlias = CollectionAsync[Any, None]
_AT_ONCE: Final = 500
_PAGE: Final = 10_000
"""What the server gives at most in one answer."""
_READ_AHEAD: Final = 1000
_WHOLE_S: Final = 600.0
"""Seconds that it may take to read all memories of a tenant."""
_OTHER_LENGTH: Final = "vector dimensions do not match"
_VERSION: Final = ["memory", "version", "gone"]


def _now() -> int:
    return time.time_ns() // 1_000_000


class WeaviateView:
    """Implements ``View`` on ``server``, in the collection that ``name`` is, or is an alias of.

    ``prepare``: makes sure that it is there; done before anything is asked, and again after trouble. ``clock``: as of
    the embedded view. The server keeps texts and vectors in plain: it needs the protection that memories need.
    """

    def __init__(
        self,
        server: Server,
        name: str,
        prepare: Callable[[WeaviateAsyncClient], Awaitable[None]],
        clock: Callable[[], int] = _now,
    ) -> None:
        self.name = name
        self._server = server
        self._prepare = prepare
        self._clock = clock
        self._preparing = asyncio.Lock()
        self._ready = False
        self._tenants: set[str] = set()
        self._indexes: set[str] = set()

    async def apply(self, changes: Sequence[Change]) -> None:
        """See ``View``. Raises ``VectorUnusable`` as well."""
        for change in changes:
            if isinstance(change, Put) and change.entry.vector is not None:
                _check(change.entry.vector)
        for tenant, wanted in newest(changes).items():
            for some in _some(wanted.items()):
                async with self._asked("apply", self._server.address.patience) as (client, objects):
                    await self._index(client, objects, dict(some).values())
                    await self._write(objects, tenant_key(tenant), dict(some))

    async def search(self, query: Query) -> list[Hit]:
        """See ``View``."""
        if query.vector is not None:
            _check(query.vector)
        async with self._asked("search") as (_, objects):
            if answers_nothing(query) or not await self._known(objects, tenant_key(query.tenant)):
                return []
            dense = query.vector is not None and await self._indexed(objects, vector_name(query.embedder))
            there = objects.with_tenant(tenant_key(query.tenant))
            return _hits(query, await found(there, query, self._clock(), dense=dense))

    async def get(self, tenant: str, ids: Collection[str]) -> list[Entry]:
        """See ``View``."""
        newest_of: dict[str, Entry] = {}
        for some in _some(sorted(set(ids))):
            async with self._asked("get") as (_, objects):
                if not await self._known(objects, tenant_key(tenant)):
                    return []
                there = objects.with_tenant(tenant_key(tenant))
                for one in await _read(there, _memories(map(key, some)), [*_VERSION, "body"]):
                    _keep_newest(newest_of, one)
        now = self._clock()
        held = (newest_of[id_] for id_ in sorted(newest_of))
        return [entry for entry in held if entry.expires_at is None or entry.expires_at > now]

    async def digest(self, tenant: str) -> Digest:
        """See ``View``. Reads all of the tenant's memories."""
        return digest_over(share for (_, gone), share in (await self.versions(tenant)).values() if not gone)

    async def versions(self, tenant: str) -> dict[str, tuple[Order, int]]:
        """By its key on the server, the version of each memory that counts, and what it adds to the digest.

        The removed are told too. Raises ViewUnavailable.
        """
        held: dict[str, tuple[Order, int]] = {}
        async with self._asked("digest") as (_, objects):
            if not await self._known(objects, tenant_key(tenant)):
                return held
        async with self._asked("digest", _WHOLE_S) as (_, objects):
            there = objects.with_tenant(tenant_key(tenant))
            async for one in there.iterator(return_properties=[*_VERSION, "share"], cache_size=_READ_AHEAD):
                stored = stored_of(one.uuid, one.properties)
                if stored.order >= held.get(stored.memory, (stored.order, 0))[0]:
                    held[stored.memory] = (stored.order, int(one.properties["share"] or "0", 16))
        return held

    async def purge(self, tenant: str, *, subject: str | None = None, ids: Collection[str] = ()) -> int:
        """See ``View``. The server's files lose it when they are next compacted, a rebuild's at once."""
        wanted: list[FilterReturn] = [_memories(map(key, some)) for some in _some(sorted(set(ids)))]
        if subject is not None:
            wanted.append(Filter.by_property("subject").equal(key(subject)))
        gone: set[str] = set()
        for condition in wanted:
            async with self._asked("purge", self._server.address.patience) as (_, objects):
                if not await self._known(objects, tenant_key(tenant)):
                    return 0
                gone |= await _purge(objects.with_tenant(tenant_key(tenant)), condition)
        return len(gone)

    async def close(self) -> None:
        """See ``View``."""
        await self._server.close()

    @asynccontextmanager
    async def _asked(
        self, what: str, seconds: float | None = None
    ) -> AsyncIterator[tuple[WeaviateAsyncClient, Objects]]:
        try:
            async with self._server.asked(what, seconds) as client:
                async with self._preparing:
                    if not self._ready:
                        await self._prepare(client)
                        self._ready = True
                yield client, client.collections.use(self.name)
        except ViewUnavailable:
            # It may be another server by now, or another collection: what was known of it is asked again.
            self._ready = False
            self._tenants.clear()
            self._indexes.clear()
            raise

    async def _known(self, objects: Objects, tenant: str) -> bool:
        if tenant not in self._tenants:
            if not await objects.tenants.exists(tenant):
                return False
            self._tenants.add(tenant)
        return True

    async def _indexed(self, objects: Objects, name: str) -> bool:
        if name not in self._indexes:
            self._indexes |= set((await objects.config.get()).vector_config or ())
        return name in self._indexes

    async def _index(self, client: WeaviateAsyncClient, objects: Objects, changes: Iterable[Change]) -> None:
        """There is a vector index for each embedder. A collection's settings are changed by its name alone."""
        entries = [change.entry for change in changes if isinstance(change, Put) and change.entry.vector is not None]
        for name in sorted({vector_name(entry.embedder) for entry in entries}):
            if not await self._indexed(objects, name):
                real = client.collections.use((await objects.config.get()).name)
                await real.config.add_vector(vector_config=Configure.Vectors.self_provided(name=name))
                self._indexes.add(name)

    async def _write(self, objects: Objects, tenant: str, wanted: dict[str, Change]) -> None:
        """Writes what is above what is there, and looks again: of two that write at once, the later one sees both."""
        there = objects.with_tenant(tenant)
        held = await _stored(there, map(key, wanted)) if await self._known(objects, tenant) else []
        highest: dict[str, Order] = {}
        for one in held:
            highest[one.memory] = max(one.order, highest.get(one.memory, one.order))
        new = {id_: one for id_, one in wanted.items() if order_of(one) > highest.get(key(id_), (-1, False))}
        if new:
            await _insert(there, [object_of(id_, change) for id_, change in new.items()])
            self._tenants.add(tenant)
            written = set(map(key, new))
            held = [one for one in held if one.memory not in written]
            if await _count(there, written) > len(written):
                held += await _stored(there, written)
        await _delete(there, losers(held))


def _check(vector: Vector) -> None:
    length = float(np.linalg.norm(vector))
    if vector.ndim != 1 or not np.isfinite(length) or length == 0.0:
        raise VectorUnusable("a vector of length 0, or with numbers that are none, has no direction")


def _some(items: Iterable[Any]) -> Iterable[list[Any]]:
    left = iter(items)
    while some := list(islice(left, _AT_ONCE)):
        yield some


def _memories(keys: Iterable[str]) -> FilterReturn:
    return Filter.by_property("memory").contains_any(list(keys))


async def _read(there: Objects, condition: FilterReturn, properties: list[str]) -> Sequence[Object[Any, None]]:
    answer = await there.query.fetch_objects(filters=condition, limit=_PAGE, return_properties=properties)
    return answer.objects


async def _stored(there: Objects, keys: Iterable[str]) -> list[Stored]:
    return [stored_of(one.uuid, one.properties) for one in await _read(there, _memories(keys), _VERSION)]


async def _count(there: Objects, keys: Iterable[str]) -> int:
    """How many versions there are of these memories: cheaper than to read them, which as many as there are need not."""
    answer = await there.aggregate.over_all(filters=_memories(keys), total_count=True)
    return answer.total_count or 0


async def _insert(there: Objects, objects: Sequence[DataObject[dict[str, Any], None]]) -> None:
    try:
        answer = await there.data.insert_many(objects)
        words = [error.message for error in answer.errors.values()]
    except WeaviateInsertManyAllFailedError as error:
        words = [str(error)]
    if words and _OTHER_LENGTH in words[0]:
        raise VectorUnusable(words[0])
    if words:
        raise ViewUnavailable(f"Weaviate did not take all of {len(objects)} objects: {words[0]}")


async def _delete(there: Objects, uuids: Sequence[Any]) -> None:
    for some in _some(uuids):
        answer = await there.data.delete_many(where=Filter.by_id().contains_any(some))
        if answer.failed:
            raise ViewUnavailable(f"Weaviate did not delete {answer.failed} of {len(some)} objects")


async def _purge(there: Objects, condition: FilterReturn) -> set[str]:
    """The keys of what was let go of. First it is noted as gone, so that nothing that comes late brings it back."""
    gone: set[str] = set()
    while held := [one for one in await _versions(there, condition) if not one.order[1]]:
        for some in _some(held):
            await _insert(there, [gone_object(one.memory, one.order[0]) for one in some])
            await _delete(there, [one.uuid for one in some])
            gone |= {one.memory for one in some}
            await _delete(there, losers(await _stored(there, {one.memory for one in some})))
    return gone


async def _versions(there: Objects, condition: FilterReturn) -> list[Stored]:
    return [stored_of(one.uuid, one.properties) for one in await _read(there, condition, _VERSION)]


def _keep_newest(held: dict[str, Entry], one: Object[Any, None]) -> None:
    if one.properties["gone"]:
        return
    entry = entry_of(one.properties)
    if entry.id not in held or held[entry.id].version < entry.version:
        held[entry.id] = entry


def _hits(query: Query, objects: Sequence[Object[Any, None]]) -> list[Hit]:
    """The best of what was found; of a memory that is being replaced the newer version."""
    best: dict[str, tuple[Hit, Vector | None]] = {}
    for one in objects:
        entry = entry_of(one.properties)
        if entry.id in best and best[entry.id][0].entry.version > entry.version:
            continue
        best[entry.id] = (Hit(entry, *score_of(one)), _vector(one, query))
    if query.scans():
        found_ones = sorted((hit.entry for hit, _ in best.values()), key=scan_order)
        return [Hit(entry, 0.0) for entry in found_ones[: query.k]]
    order = sorted(best.values(), key=lambda pair: (-pair[0].score, pair[0].entry.id))
    if query.diversity <= 0 or not order:
        return [hit for hit, _ in order[: query.k]]
    scores = np.array([hit.score for hit, _ in order])
    return [order[place][0] for place in diverse(scores, _alike([each for _, each in order]), query.k, query.diversity)]


def _vector(one: Object[Any, None], query: Query) -> Vector | None:
    held: Any = one.vector.get(vector_name(query.embedder)) if one.vector else None
    if held is None or not len(held):
        return None
    vector: Vector = np.asarray(held, np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def _alike(vectors: Sequence[Vector | None]) -> Any:
    """How alike what was found is, by its vectors; what has none is like nothing."""
    size = next((len(one) for one in vectors if one is not None), 1)
    all_of_them = np.stack([np.zeros(size, np.float32) if one is None else one for one in vectors])
    return np.maximum(np.einsum("ik,jk->ij", all_of_them, all_of_them), 0).astype(np.float64)
