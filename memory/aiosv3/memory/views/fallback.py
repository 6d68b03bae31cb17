"""A view that is somewhere else, and what answers while it is not there: the newest memories, in this process."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from aiosv3.memory.views.errors import ViewUnavailable
from aiosv3.memory.views.port import Change, Digest, Entry, Hit, PartialHits, Put, Query, Remove, View

_RETRY_S: Final = 0.5
_AT_ONCE: Final = 1000
_WAITING: Final = 50_000
_LOG: Final = logging.getLogger(__name__)
_Id: TypeAlias = tuple[str, str]
"""Tenant, and id of a memory."""


_Time: TypeAlias = tuple[int, int]
"""``valid_from`` and position: the place of a memory among those of its source."""


class _Held(NamedTuple):
    """What the tail has."""

    version: int
    source: str
    time: _Time


@dataclass(slots=True)
class _Backlog:
    """What the view has not taken: purges, and of each memory the last change. Purges come first, in any order."""

    purges: list[tuple[str, str | None, frozenset[str]]] = field(default_factory=list)
    changes: dict[_Id, Change] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.purges) + len(self.changes)

    def note(self, changes: Sequence[Change]) -> None:
        for change in changes:
            before = self.changes.get(_id(change))
            if before is None or _order(change) >= _order(before):
                self.changes[_id(change)] = change

    def purge(self, tenant: str, subject: str | None, ids: frozenset[str]) -> None:
        """What waits is not written after all: a purge that came after it must not find it alive."""
        for key, change in self.changes.items():
            if not isinstance(change, Put) or key[0] != tenant:
                continue
            if key[1] in ids or (subject is not None and change.entry.subject == subject):
                self.changes[key] = Remove(tenant, key[1], change.entry.version)
        self.purges.append((tenant, subject, ids))


class FallbackView:
    """Implements ``View`` on ``primary``, and answers from ``tail`` while that does not: never with silence.

    The tail has the ``newest`` memories that were applied. What the primary does not take waits here (of each memory
    the last change), and is written as soon as it can be; until then, answers are from the tail, as ``PartialHits``:
    the primary may show what was forgotten since. A process that dies in between reads the log again when it starts.

    Where ``waiting`` changes wait, the next are not taken, and ViewUnavailable is raised: whoever reads the log stands
    still, and reads on when the primary is back. The log keeps what this process need not hold.
    """

    def __init__(
        self, primary: View, tail: View, newest: int, retry: float = _RETRY_S, waiting: int = _WAITING
    ) -> None:
        self.primary = primary
        self.trouble: ViewUnavailable | None = None
        """Why answers are from the tail; None while they are not."""
        self._tail = tail
        self._newest = newest
        self._retry = retry
        self._waiting = waiting
        self._held: OrderedDict[_Id, _Held] = OrderedDict()
        self._floors: dict[tuple[str, str], _Time] = {}
        """By tenant and source, the last of its memories that has left the tail."""
        self._backlog = _Backlog()
        self._again: asyncio.Task[None] | None = None
        self._closed = False

    async def apply(self, changes: Sequence[Change]) -> None:
        """See ``View``. ViewUnavailable is raised where too much waits already."""
        self._open()
        await self._keep(changes)
        if self.trouble is None:
            try:
                await self.primary.apply(changes)
                return
            except ViewUnavailable as error:
                self._fall_back(error)
        self._spare()
        self._backlog.note(changes)

    async def search(self, query: Query) -> list[Hit]:
        """See ``View``; ``PartialHits`` where they are the tail's and may not be all."""
        self._open()
        if (window := await self._window(query)) is not None:
            return window
        if self.trouble is None:
            try:
                return await self.primary.search(query)
            except ViewUnavailable as error:
                self._fall_back(error)
        return PartialHits(await self._tail.search(query))

    async def get(self, tenant: str, ids: Collection[str]) -> list[Entry]:
        """See ``View``; what is older than the tail is missing while the primary is."""
        self._open()
        if self.trouble is None:
            try:
                return await self.primary.get(tenant, ids)
            except ViewUnavailable as error:
                self._fall_back(error)
        return await self._tail.get(tenant, ids)

    async def digest(self, tenant: str) -> Digest:
        """See ``View``. The tail has not all memories: ViewUnavailable is raised where the primary has not either."""
        self._open()
        if self.trouble is not None:
            raise self.trouble
        return await self.primary.digest(tenant)

    async def purge(self, tenant: str, *, subject: str | None = None, ids: Collection[str] = ()) -> int:
        """See ``View``. Nothing of it is shown from now on; the number is the tail's while the primary is away."""
        self._open()
        count = await self._tail.purge(tenant, subject=subject, ids=ids)
        if self.trouble is None:
            try:
                return await self.primary.purge(tenant, subject=subject, ids=ids)
            except ViewUnavailable as error:
                self._fall_back(error)
        self._spare()
        self._backlog.purge(tenant, subject, frozenset(ids))
        return count

    async def close(self) -> None:
        """See ``View``."""
        self._closed = True
        if self._again is not None:
            self._again.cancel()
            await asyncio.gather(self._again, return_exceptions=True)
        await self.primary.close()
        await self._tail.close()

    def _spare(self) -> None:
        if len(self._backlog) >= self._waiting:
            raise ViewUnavailable(f"{len(self._backlog)} changes wait for it; no more are held: {self.trouble}")

    def _open(self) -> None:
        if self._closed:
            raise ViewUnavailable("the view is closed")
        if self._again is not None and self._again.done() and (defect := self._again.exception()) is not None:
            raise defect

    async def _keep(self, changes: Sequence[Change]) -> None:
        """Into the tail, and out of it what is oldest there."""
        for change in changes:
            key, version = _id(change), _order(change)[0]
            if key in self._held and version < self._held[key].version:
                continue
            self._held.pop(key, None)
            if isinstance(change, Put):
                self._held[key] = _Held(version, change.entry.source, _time(change.entry))
        old: list[Change] = []
        while len(self._held) > self._newest:
            (tenant, id_), held = self._held.popitem(last=False)
            old.append(Remove(tenant, id_, held.version))
            if held.source:
                self._floors[tenant, held.source] = max(held.time, self._floors.get((tenant, held.source), held.time))
        await self._tail.apply([*changes, *old])

    async def _window(self, query: Query) -> list[Hit] | None:
        """The last memories of one source, a conversation's last turns, where the tail surely has them all.

        The primary is not asked: it cannot know better, and need not even be there.
        """
        source = query.one_source() if query.scans() else None
        if source is None:
            return None
        floor = self._floors.get((query.tenant, source))
        hits = await self._tail.search(query)
        whole = floor is None or (len(hits) >= query.k and _time(hits[-1].entry) > floor)
        return hits if whole else None

    def _fall_back(self, error: ViewUnavailable) -> None:
        if self.trouble is None:
            _LOG.warning("memories are found among the newest %d only: %s", self._newest, error)
        self.trouble = error
        if self._again is None or self._again.done():
            self._again = asyncio.get_running_loop().create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Until the primary has taken all that waits."""
        while self.trouble is not None:
            await asyncio.sleep(self._retry)
            with suppress(ViewUnavailable):
                await self._hand_over()
                while self._backlog:
                    await self._hand_over()
                self.trouble = None
                _LOG.info("memories are found in the whole view again")

    async def _hand_over(self) -> None:
        """The next of what waits; where nothing does, a question: whether the primary is there."""
        backlog = self._backlog
        if not backlog:
            await self.primary.digest("")
        while backlog.purges:
            tenant, subject, ids = backlog.purges[0]
            await self.primary.purge(tenant, subject=subject, ids=ids)
            backlog.purges.pop(0)
        some = list(backlog.changes.items())[:_AT_ONCE]
        if some:
            await self.primary.apply([change for _, change in some])
        for key, change in some:
            # Something newer may have come meanwhile, or a purge.
            if backlog.changes.get(key) is change:
                del backlog.changes[key]


def _time(entry: Entry) -> _Time:
    return entry.valid_from, entry.position


def _id(change: Change) -> _Id:
    return (change.entry.tenant, change.entry.id) if isinstance(change, Put) else (change.tenant, change.id)


def _order(change: Change) -> tuple[int, bool]:
    return (change.entry.version, False) if isinstance(change, Put) else (change.version, True)
