"""Quarantine: what came from a source or a task that nobody trusts is found only where it is asked for.

It is a rule of the fold, an event in every partition, not a new version of each memory: so it holds for what comes
later too, needs no text and no vector again, and can be taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from aiosv3.memory.views.port import QUARANTINED, Entry, Hit, PartialHits

if TYPE_CHECKING:
    from aiosv3.memory.views.port import Query, View

_MORE: Final = 4


class Suspects(NamedTuple):
    """Of one tenant: the sources that are in quarantine, and the memories that came from tasks that are."""

    sources: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()

    def marked(self, entry: Entry) -> Entry:
        """With the trust that it has now."""
        suspect = entry.id in self.ids or entry.source in self.sources
        return replace(entry, trust=QUARANTINED) if suspect else entry


async def search(view: View, query: Query, suspects: Suspects, only: frozenset[str] | None = None) -> list[Hit]:
    """What a view finds, less what is in quarantine unless ``query.min_trust`` is 0. ``only``: of these memories.

    A view knows the trust that a memory was given, and its source, not the task or the model that it came from: so many
    more are looked for, and k are left. Sources are a condition of the search.
    """
    if only is not None:
        return await _among(view, query, suspects, only)
    if query.min_trust <= QUARANTINED:
        hits = await view.search(query)
        return _like(hits, [replace(hit, entry=suspects.marked(hit.entry)) for hit in hits])
    without = frozenset(query.without_sources) | suspects.sources
    hits = await view.search(replace(query, k=query.k + len(suspects.ids), without_sources=without))
    return _like(hits, [hit for hit in hits if hit.entry.id not in suspects.ids][: query.k])


async def _among(view: View, query: Query, suspects: Suspects, only: frozenset[str]) -> list[Hit]:
    """Ever more is looked for, until k are found or there is no more."""
    wanted = query.k * _MORE
    while only:
        hits = await search(view, replace(query, k=wanted), suspects)
        kept = [hit for hit in hits if hit.entry.id in only]
        if len(kept) >= min(query.k, len(only)) or len(hits) < wanted:
            return _like(hits, kept[: query.k])
        wanted *= _MORE
    return []


def _like(hits: Sequence[Hit], kept: list[Hit]) -> list[Hit]:
    """Out of a part of a view is still out of a part of it."""
    return PartialHits(kept) if isinstance(hits, PartialHits) else kept
