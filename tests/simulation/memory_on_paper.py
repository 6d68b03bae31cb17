"""The memory worker of a simulated mesh: production classes on a view that is a dictionary and a slow embedder."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Collection, Sequence
from typing import Any

from aiosv3.memory.applying import Applier
from aiosv3.memory.contents import PlainContents
from aiosv3.memory.embedding import Embedding
from aiosv3.memory.feed import Feed
from aiosv3.memory.keeping import Keeper
from aiosv3.memory.past import PastViews
from aiosv3.memory.recalling import Recalling
from aiosv3.memory.tenure import MemoryTenure
from aiosv3.memory.views.port import Change, Digest, Entry, Hit, Put, Query
from aiosv3.memory.worker import MemoryWorker
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.topics import Topics
from aiosv3.streams.commit import Commit
from aiosv3.streams.following import PollingFollower
from aiosv3.streams.log import Committed
from aiosv3.streams.processor import OpenTenure
from aiosv3.streams.tenure import Tenure, Wiring
from aiosv3.streams.testing import ProcessContext


class PaperView:
    """The view port in its simplest form. ``clock``: ms, for what has expired."""

    def __init__(self, clock: Callable[[], int] = lambda: 0) -> None:
        self._clock = clock
        self.entries: dict[tuple[str, str], Entry] = {}
        self._floors: dict[tuple[str, str], int] = {}

    async def apply(self, changes: Sequence[Change]) -> None:
        """Newest versions only."""
        for change in changes:
            one = change.entry if isinstance(change, Put) else change
            key = (one.tenant, one.id)
            if one.version > self._floors.get(key, -1):
                self._floors[key] = one.version
                self.entries.pop(key, None)
                if isinstance(change, Put):
                    self.entries[key] = change.entry

    async def search(self, query: Query) -> list[Hit]:
        """All that may be seen and is about whom it is asked for, whatever the words."""
        mine = (one for one in self.entries.values() if one.tenant == query.tenant and one.scope in query.scopes)
        now = self._clock()
        found = [
            one
            for one in mine
            if one.trust >= query.min_trust
            and query.subject in {None, one.subject}
            and one.source not in query.without_sources
            and (one.expires_at is None or one.expires_at > now)
        ]
        return [Hit(one, 1.0) for one in sorted(found, key=lambda one: one.id)]

    async def get(self, tenant: str, ids: Collection[str]) -> list[Entry]:
        """By id."""
        return [one for key, one in self.entries.items() if key[0] == tenant and key[1] in ids]

    async def digest(self, tenant: str) -> Digest:
        """Over id, version and content hash."""
        total = 0
        for one in self.entries.values():
            said = f"{one.id}/{one.version}/{one.content_hash}".encode()
            total ^= int.from_bytes(hashlib.blake2b(said, digest_size=16).digest(), "big")
        return Digest(len(self.entries), f"{total:032x}")

    async def purge(self, tenant: str, *, subject: str | None = None, ids: Collection[str] = ()) -> int:
        """By id."""
        return sum(self.entries.pop((tenant, one), None) is not None for one in ids)

    async def close(self) -> None:
        """Nothing is open."""


class SlowEmbedder:
    """Takes up to a second, so that events land in another order than they were asked for."""

    name = "slow"

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Any]:
        """One number a text."""
        import numpy as np

        await asyncio.sleep(self._rng.uniform(0, 1.0))
        return [np.array([float(len(text))], dtype=np.float32) for text in texts]

    async def close(self) -> None:
        """Nothing is open."""


async def memory_tenures(
    process: ProcessContext,
    wiring: Wiring,
    codec: Codec,
    topics: Topics,
    secret: bytes,
    partitions: int,
    *,
    every: float = 0.05,
    sweep: float = 2.0,
) -> tuple[Feed, OpenTenure]:
    """A memory worker whose feed has begun; ``every``: seconds between two looks at the memory log.

    ``sweep``: between two looks for what has expired.
    """
    log, contents = process.log, PlainContents()  # what a view reads is nothing that the owner of a partition has read
    applier = Applier(PaperView(process.clock_ms), codec, contents)
    feed = Feed(log, PollingFollower(log, every), topics.memory_events(), partitions, applier)
    embedding = Embedding(SlowEmbedder(process.rng))

    async def fresh() -> PaperView:
        return PaperView(process.clock_ms)

    recalling = Recalling(feed, embedding, PastViews(log, feed, codec, contents, fresh))
    worker = MemoryWorker(codec, secret, {}, contents, embedding, recalling, process.clock_ms)

    def open_tenure(partition: int, committed: Committed | None, start: Commit) -> Tenure:
        keeper = Keeper(log, topics.memory_state(), partition, feed, codec)
        dead = topics.dead_letters()
        return MemoryTenure(
            wiring, partition, committed, start, worker=worker, limit=8, dead_letters=dead, keeper=keeper, sweep=sweep
        )

    await feed.start()
    return feed, open_tenure
