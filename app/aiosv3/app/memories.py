"""The memory worker as a process: ``aiosv3 worker memory``."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from aiosv3.app.projects import mesh_secret
from aiosv3.app.sealing import following, open_ring
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.topology import base_topics, memory_records
from aiosv3.app.workers import Mesh, clock, ensure, open_mesh, register_released, serve, wiring_of
from aiosv3.memory.applying import Applier
from aiosv3.memory.contents import Contents, PlainContents, SealedContents
from aiosv3.memory.embedding import Embedding
from aiosv3.memory.feed import Feed
from aiosv3.memory.keeping import Keeper, load
from aiosv3.memory.past import PastViews
from aiosv3.memory.rebuilding import LiveRebuild, Rebuild, Rebuilding
from aiosv3.memory.recalling import Recalling
from aiosv3.memory.sharedrebuild import SharedRebuild
from aiosv3.memory.tenure import MemoryTenure
from aiosv3.memory.worker import MemoryWorker
from aiosv3.schemas.sealing import KeyedHashes
from aiosv3.streams.commit import Commit
from aiosv3.streams.kafka.follower import KafkaFollower
from aiosv3.streams.keys import KeyRing
from aiosv3.streams.log import Committed
from aiosv3.streams.processor import Processor

if TYPE_CHECKING:
    from aiosv3.memory.embedders.port import Embedder
    from aiosv3.memory.views.port import View
    from aiosv3.memory.views.weaviate import Generations

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MemoryParts:
    """A memory worker, put together and not started. The feed is started first: recalls are answered from it."""

    feed: Feed
    follower: KafkaFollower
    embedding: Embedding
    ring: KeyRing | None
    processor: Processor

    async def start(self, patience: float) -> None:
        """Follows the log, and waits for the view up to ``patience`` seconds."""
        await self.feed.start()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.feed.ready.wait()
                return
        _LOG.warning("the memory view is not ready after %s s: recalls wait for it", patience)

    async def warm_up(self) -> None:
        """Has the embedder load its model, before anybody waits for it."""
        await self.embedding.vector("the first text")

    async def close(self) -> None:
        """After the processor was drained."""
        await self.feed.close()
        await self.feed.applier.view.close()
        await self.embedding.close()
        await self.follower.close()


async def run_memory(settings: Settings) -> None:
    """A memory worker of the project."""
    async with open_mesh(settings, "aiosv3-memory") as mesh:
        parts = await memory_parts(mesh)
        try:
            await parts.start(settings.memory.ready)
            await serve(mesh, parts.processor, [parts.feed.watch, parts.warm_up, *following(parts.ring)])
        finally:
            await parts.close()


def contents_of(settings: Settings, ring: KeyRing | None) -> Contents:
    """How contents of memory are written and read by these settings; without ``ring`` all are plain."""
    if ring is None:
        return PlainContents()
    return SealedContents(ring, KeyedHashes(mesh_secret(settings)), settings.sealing.since)


async def open_view() -> View:
    """An empty view, in this process."""
    from aiosv3.memory.views.embedded import EmbeddedView

    return EmbeddedView()


async def open_live_view(settings: Settings) -> View:
    """The view that the settings name, and that recalls are answered from. It need not be there yet."""
    if settings.memory.view == "embedded":
        return await open_view()
    from aiosv3.memory.views.fallback import FallbackView

    given = settings.memory.weaviate
    return FallbackView(generations_of(settings).live(), await open_view(), given.tail, waiting=given.waiting)


def generations_of(settings: Settings) -> Generations:
    """The project's collections on Weaviate. Raises :class:`SettingsError` where its client is missing, or its key."""
    try:
        from aiosv3.memory.views.weaviate import Address, Generations
    except ModuleNotFoundError as error:
        raise SettingsError(f'view = "weaviate" needs the extra: pip install "aiosv3[weaviate]" ({error})') from None
    given = settings.memory.weaviate
    address = Address(given.url, given.grpc_port, _key(given.api_key_env, "weaviate"), given.timeout)
    return Generations(address, given.collection)


def embedder_of(settings: Settings) -> Embedder | None:
    """The embedder that the settings name. Raises :class:`SettingsError` where its key is not there."""
    given = settings.memory
    if given.embedder == "none":
        return None
    if given.embedder == "local":
        from aiosv3.memory.embedders.local import LocalEmbedder

        return LocalEmbedder()
    from aiosv3.memory.embedders.remote import RemoteEmbedder, RemoteModel

    remote = given.remote
    model = RemoteModel(remote.base_url, remote.model, remote.dimensions, remote.query_prefix, remote.text_prefix)
    return RemoteEmbedder(model, _key(remote.api_key_env, "remote"))


def _key(variable: str, group: str) -> SecretStr | None:
    if not variable:
        return None
    value = os.environ.get(variable, "")
    if not value:
        raise SettingsError(f"memory.{group}: the environment has no {variable}, which holds the key")
    return SecretStr(value)


async def memory_parts(mesh: Mesh) -> MemoryParts:
    """The parts of a memory worker, its topics and schemas ready."""
    settings, topics = mesh.settings, mesh.topics
    await ensure(mesh, base_topics(settings, topics))
    await register_released(mesh, memory_records(topics))
    ring = await open_ring(mesh)
    given, contents = settings.memory, contents_of(settings, ring)
    follower = KafkaFollower(mesh.connection)
    applier = Applier(await open_live_view(settings), mesh.codec, contents)
    queries, events = topics.memory_queries(), topics.memory_events()
    states = topics.memory_state()

    async def load_states(partition: int, into: Applier) -> None:
        await load(mesh.log, states, partition, into, events)

    feed = Feed(mesh.log, follower, events, settings.kafka.partitions, applier, load_states)
    embedding = Embedding(embedder_of(settings))
    recalling = Recalling(feed, embedding, PastViews(mesh.log, feed, mesh.codec, contents, open_view))
    own = given.view == "embedded"

    def rebuilding() -> Rebuilding:
        if own:
            return Rebuild(mesh.log, feed, mesh.codec, contents, open_view)
        return SharedRebuild(mesh.log, feed, mesh.codec, contents, generations_of(settings))

    live = LiveRebuild(rebuilding)
    worker = MemoryWorker(mesh.codec, mesh_secret(settings), given.teams, contents, embedding, recalling, clock, live)
    wiring = wiring_of(mesh, "memory", queries, events)

    def open_tenure(partition: int, committed: Committed | None, start: Commit) -> MemoryTenure:
        return MemoryTenure(
            wiring,
            partition,
            committed,
            start,
            worker=worker,
            limit=given.concurrency,
            dead_letters=topics.dead_letters(),
            keeper=Keeper(mesh.log, states, partition, feed, mesh.codec),
        )

    return MemoryParts(feed, follower, embedding, ring, Processor(wiring, open_tenure))
