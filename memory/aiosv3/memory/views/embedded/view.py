"""The embedded view: a memory view in this process, from pip alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from typing import ParamSpec, TypeVar

from aiosv3.memory.views.digests import digest_of, share
from aiosv3.memory.views.embedded.analysis import forget_words
from aiosv3.memory.views.embedded.index import Index
from aiosv3.memory.views.embedded.ranking import DEFAULT, Ranking
from aiosv3.memory.views.errors import ViewUnavailable
from aiosv3.memory.views.port import Change, Digest, Entry, Hit, Put, Query, Remove

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _now() -> int:
    return time.time_ns() // 1_000_000


class EmbeddedView:
    """Implements ``View`` in memory. All work is done on one thread of its own, in the order it was asked for.

    ``clock``: milliseconds since the epoch; what it says decides what has expired and what is new.
    """

    def __init__(self, ranking: Ranking = DEFAULT, clock: Callable[[], int] = _now) -> None:
        self._ranking = ranking
        self._clock = clock
        self._tenants: dict[str, _Tenant] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="aiosv3-view")
        self._closed = False

    async def apply(self, changes: Sequence[Change]) -> None:
        """See ``View``."""
        await self._run(self._apply, list(changes))

    async def search(self, query: Query) -> list[Hit]:
        """See ``View``."""
        return await self._run(self._search, query)

    async def get(self, tenant: str, ids: Collection[str]) -> list[Entry]:
        """See ``View``."""
        return await self._run(self._get, tenant, ids)

    async def digest(self, tenant: str) -> Digest:
        """See ``View``."""
        return await self._run(self._digest, tenant)

    async def purge(self, tenant: str, *, subject: str | None = None, ids: Collection[str] = ()) -> int:
        """See ``View``."""
        return await self._run(self._purge, tenant, subject, list(ids))

    async def rank(self, ranking: Ranking) -> None:
        """Ranks in another way from the next search on; what is held stays as it is."""
        await self._run(self._rank, ranking)

    async def close(self) -> None:
        """See ``View``."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._tenants = {}

    async def _run(
        self, work: Callable[_Arguments, _Result], *args: _Arguments.args, **options: _Arguments.kwargs
    ) -> _Result:
        if self._closed:
            raise ViewUnavailable("the view is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **options))

    def _tenant(self, name: str) -> _Tenant:
        return self._tenants.get(name) or self._tenants.setdefault(name, _Tenant(self._ranking))

    def _apply(self, changes: list[Change]) -> None:
        for (tenant, kind), some in groupby(changes, lambda change: (_tenant_of(change), type(change))):
            if kind is Put:
                self._tenant(tenant).put_all([change.entry for change in some if isinstance(change, Put)])
            else:
                for change in some:
                    if isinstance(change, Remove):
                        self._tenant(tenant).remove(change.id, change.version)

    def _search(self, query: Query) -> list[Hit]:
        tenant = self._tenants.get(query.tenant)
        return [] if tenant is None else tenant.index.search(query, self._clock())

    def _get(self, tenant: str, ids: Collection[str]) -> list[Entry]:
        held = self._tenants.get(tenant)
        now = self._clock()
        found = [entry for id_ in sorted(set(ids)) if held is not None and (entry := held.index.entry(id_)) is not None]
        return [entry for entry in found if entry.expires_at is None or entry.expires_at > now]

    def _rank(self, ranking: Ranking) -> None:
        self._ranking = ranking
        for tenant in self._tenants.values():
            tenant.index.ranking = ranking

    def _digest(self, tenant: str) -> Digest:
        held = self._tenants.get(tenant)
        return digest_of(0, 0) if held is None else held.digest()

    def _purge(self, tenant: str, subject: str | None, ids: list[str]) -> int:
        held = self._tenants.get(tenant)
        return 0 if held is None else held.purge(subject, ids)


def _tenant_of(change: Change) -> str:
    return change.entry.tenant if isinstance(change, Put) else change.tenant


class _Tenant:
    """What is held of one tenant, which versions were seen, and the digest as it changes."""

    def __init__(self, ranking: Ranking) -> None:
        self.index = Index(ranking)
        self._seen: dict[str, int] = {}
        self._sum = 0

    def put_all(self, entries: list[Entry]) -> None:
        """In their order; of the same memory twice the newer version."""
        newest: dict[str, Entry] = {}
        for entry in entries:
            before = newest.get(entry.id)
            if entry.version > (self._seen.get(entry.id, -1) if before is None else before.version):
                newest[entry.id] = entry
        replaced = [old for id_ in newest if (old := self.index.entry(id_)) is not None]
        self.index.put_all(list(newest.values()))
        for entry in newest.values():
            self._seen[entry.id] = entry.version
            self._sum ^= share(entry)
        for old in replaced:
            self._sum ^= share(old)

    def remove(self, id_: str, version: int) -> None:
        if version <= self._seen.get(id_, -1) and not self._holds(id_, version):
            return
        self._take_out(id_)
        self._seen[id_] = max(version, self._seen.get(id_, -1))

    def purge(self, subject: str | None, ids: list[str]) -> int:
        gone = set(ids) | set(self.index.ids(subject) if subject is not None else ())
        count = sum(map(self._take_out, gone))
        if count:
            self.index.rebuild()
            forget_words()
        return count

    def digest(self) -> Digest:
        return digest_of(len(self.index), self._sum)

    def _holds(self, id_: str, version: int) -> bool:
        held = self.index.entry(id_)
        return held is not None and held.version <= version

    def _take_out(self, id_: str) -> bool:
        old = self.index.entry(id_)
        if old is None:
            return False
        self._sum ^= share(old)
        return self.index.remove(id_)
