"""Looks memories up: who may see what, how fresh the view must be, and what is said about the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from aiosv3.memory.access import Asker, readable
from aiosv3.memory.answers import recalled
from aiosv3.memory.embedding import Embedding
from aiosv3.memory.feed import Feed
from aiosv3.memory.trusting import search
from aiosv3.memory.views.port import PartialHits, Query
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.memory import MemoryQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiosv3.memory.applying import Applier
    from aiosv3.memory.views.port import Vector

_PATIENCE_S: Final = 5.0
"""How long the view may take to know what the asker has written itself."""
_MOST: Final = 200


class Past(Protocol):
    """What was known at a time."""

    async def known(self, moment: int | Mapping[int, int]) -> tuple[Applier, dict[int, int]]:
        """Memory at ``moment`` (ms, or by partition the first event that was not known), and such positions for it.

        Raises AsOfPruned.
        """
        ...


class AsOfPruned(AiosError):
    """The log no longer has its beginning, out of which the past is told; ``base``: when it begins now (ms)."""

    def __init__(self, base: int, partition: int, offset: int) -> None:
        super().__init__(
            f"what was known then cannot be told: partition {partition} of the memory log begins at offset {offset}, "
            f"of {base} (milliseconds since 1970); ask for what is known now"
        )
        self.base = base


class Recalling:
    """Answers recalls out of the live view of ``feed``, or of ``past`` where an earlier time is asked for."""

    def __init__(self, feed: Feed, embedding: Embedding, past: Past) -> None:
        self.feed = feed
        self._embedding = embedding
        self._past = past

    async def recall(self, asker: Asker, query: MemoryQuery, text: str) -> dict[str, Any]:
        """The answer as its journal has it. Raises AsOfPruned, ViewUnavailable."""
        feed = self.feed
        await feed.ready.wait()
        wanted = {place.partition: place.offset for place in query.positions}
        behind = not await feed.reach(wanted, _PATIENCE_S)
        vector = await self._embedding.vector(text, query=True)
        blind = vector is None and self._embedding.name is not None and bool(text)
        moment = _moment(query)
        if moment is not None:
            applier, as_of = await self._past.known(moment)
        else:
            applier, as_of = feed.applier, dict(feed.positions)
        only = applier.came_from(asker.tenant, query.tasks, query.models)
        hits = await search(applier.view, self._asked(asker, query, text, vector), applier.suspects(asker.tenant), only)
        partial = isinstance(hits, PartialHits)
        degraded = behind or blind or partial or feed.applier.trouble is not None
        return recalled(hits, as_of, feed.lag(), degraded=degraded)

    def _asked(self, asker: Asker, query: MemoryQuery, text: str, vector: Vector | None) -> Query:
        return Query(
            tenant=asker.tenant,
            scopes=readable(asker, query.scope, self.feed.scopes(asker.tenant) if asker.scopes is None else ()),
            text=text,
            vector=vector,
            embedder=self._embedding.name,
            k=min(max(query.k, 1), _MOST),
            kinds=list(query.kinds) or None,
            subject=query.subject,
            since=query.since,
            until=query.until,
            at=query.at,
            min_trust=query.min_trust,
            sources=list(query.sources) or None,
        )


def _moment(query: MemoryQuery) -> int | Mapping[int, int] | None:
    if query.as_of is not None:
        return query.as_of
    return {place.partition: place.offset for place in query.as_of_positions} or None
