"""Collections that take each other's place behind an alias: a rebuild is seen whole, or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from weaviate import WeaviateAsyncClient
from weaviate.classes.config import Configure, StopwordsPreset
from weaviate.exceptions import UnexpectedStatusCodeError

from aiosv3.memory.views.port import View
from aiosv3.memory.views.weaviate.objects import PROPERTIES
from aiosv3.memory.views.weaviate.server import Address, Server
from aiosv3.memory.views.weaviate.view import WeaviateView

_UNUSED: Final = "unused"


def _now() -> int:
    return time.time_ns() // 1_000_000


class Generations:
    """The collections of one mesh on a server, named ``NAME_…``, and ``name``, the alias of the live one.

    All workers read and write through the alias: when it moves, all of them move. One rebuild at a time.
    """

    def __init__(self, address: Address, name: str, clock: Callable[[], int] = _now) -> None:
        self._address = address
        self._name = name[:1].upper() + name[1:]
        self._clock = clock

    def live(self) -> WeaviateView:
        """The view that all workers share, on a connection of its own. Nothing is asked of the server yet."""
        return WeaviateView(Server(self._address), self._name, self._ensure, self._clock)

    def fresh(self) -> WeaviateView:
        """A new collection that nobody sees, for a rebuild."""
        name = self._new_name()

        async def prepare(client: WeaviateAsyncClient) -> None:
            if not await client.collections.exists(name):
                await _create(client, name)

        return WeaviateView(Server(self._address), name, prepare, self._clock)

    async def switch(self, view: View) -> str:
        """Makes a view of :meth:`fresh` the live one, for everybody; the name of the collection that was it.

        The one before is kept, and is not written any more: :meth:`switch_back` or :meth:`confirm`.
        Raises ViewUnavailable.
        """
        if not isinstance(view, WeaviateView) or not self._ours(view.name):
            raise TypeError("only a view that fresh() made can go live")
        before = await self._move(view.name)
        view.name = self._name
        return before

    async def discard(self, view: View) -> None:
        """Drops what a rebuild did not finish. Raises ViewUnavailable: :meth:`confirm` drops it as well."""
        if isinstance(view, WeaviateView) and self._ours(view.name):
            server = Server(self._address)
            try:
                async with server.asked("drop a collection", self._address.patience) as client:
                    await client.collections.delete(view.name)
            finally:
                await server.close()

    async def switch_back(self, collection: str) -> None:
        """Makes an earlier collection the live one again. It lacks what came since: run a worker anew, or rebuild."""
        await self._move(collection)

    async def confirm(self) -> list[str]:
        """Drops all collections but the live one, with all that was ever stored in them; their names."""
        server = Server(self._address)
        try:
            async with server.asked("drop collections", self._address.patience) as client:
                live = await client.alias.get(alias_name=self._name)
                dropped = []
                for name in await client.collections.list_all():
                    if self._ours(name) and live is not None and name != live.collection:
                        await client.collections.delete(name)
                        dropped.append(name)
                return sorted(dropped)
        finally:
            await server.close()

    async def _move(self, collection: str) -> str:
        server = Server(self._address)
        try:
            async with server.asked("move the alias", self._address.patience) as client:
                await self._ensure(client)
                live = await client.alias.get(alias_name=self._name)
                await client.alias.update(alias_name=self._name, new_target_collection=collection)
                return "" if live is None else live.collection
        finally:
            await server.close()

    async def _ensure(self, client: WeaviateAsyncClient) -> None:
        """There is a live collection. Of two workers that make the first one at once, one gives way."""
        if await client.alias.exists(alias_name=self._name):
            return
        name = self._new_name()
        await _create(client, name)
        try:
            await client.alias.create(alias_name=self._name, target_collection=name)
        except UnexpectedStatusCodeError:
            if not await client.alias.exists(alias_name=self._name):
                raise
            await client.collections.delete(name)

    def _new_name(self) -> str:
        return f"{self._name}_{uuid4().hex[:12]}"

    def _ours(self, name: str) -> bool:
        return name.startswith(f"{self._name}_")


async def _create(client: WeaviateAsyncClient, name: str) -> None:
    await client.collections.create(
        name,
        properties=list(PROPERTIES),
        # An index for each embedder is added when its first vector comes; none at all cannot be said.
        vector_config=[Configure.Vectors.self_provided(name=_UNUSED)],
        multi_tenancy_config=Configure.multi_tenancy(auto_tenant_creation=True, auto_tenant_activation=True),
        inverted_index_config=Configure.inverted_index(stopwords_preset=StopwordsPreset.NONE),
    )
