"""A search from a shell: through the whole log, by words and, where vectors can be made here, by meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiosv3.app.memories import embedder_of
from aiosv3.app.recollection import MemoryReading, cited
from aiosv3.app.settings import Settings
from aiosv3.memory.embedding import Embedding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiosv3.memory.embedders.port import Embedder
    from aiosv3.memory.views.port import Vector

_ABSENT: Final = "found by words alone: the embedder's model is not on this machine (a memory worker fetches it)"
_SILENT: Final = "found by words alone: the embedder does not answer"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked for. Empty conditions hold for everything."""

    text: str = ""
    k: int = 10
    subject: str | None = None
    scope: str | None = None
    kind: str | None = None
    sources: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    min_trust: int = 0


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found; ``degraded``: why no vector was compared although there are some, else None."""

    found: list[dict[str, Any]]
    degraded: str | None


async def look(
    memory: MemoryReading, tenant: str, asked: Asked, moment: int | Mapping[int, int] | None, embedder: Embedder | None
) -> Looked:
    """Searches all scopes and classes, now or as of ``moment``."""
    from aiosv3.memory.views.port import Query

    recollection = await memory.recollect(moment)
    vector = await _vector(embedder, asked.text)
    query = Query(
        tenant,
        [] if asked.scope is None else [asked.scope],
        asked.text,
        vector,
        None if embedder is None else embedder.name,
        k=asked.k,
        kinds=None if asked.kind is None else [asked.kind],
        subject=None if asked.subject is None else memory.subject(tenant, asked.subject),
        sources=asked.sources or None,
        min_trust=asked.min_trust,
    )
    hits = await recollection.found(query, asked.tasks, asked.models)
    events = memory.mesh.topics.memory_events()
    degraded = None if vector is not None or not asked.text else why_not(memory.mesh.settings, embedder)
    found = [cited(hit.entry, events, hit.score, recollection.origin(hit.entry)) for hit in hits]
    return Looked([{**one, "degraded": degraded is not None} for one in found], degraded)


def here(settings: Settings) -> Embedder | None:
    """The embedder of the settings where it works without a download; None where it does not, or there is none."""
    if settings.memory.embedder == "local":
        from aiosv3.memory.embedders.modelfiles import is_there

        if not is_there():
            return None
    return embedder_of(settings)


def why_not(settings: Settings, embedder: Embedder | None) -> str | None:
    """Why there is no vector; None where none is wanted."""
    if settings.memory.embedder == "none":
        return None
    return _ABSENT if embedder is None else _SILENT


async def _vector(embedder: Embedder | None, text: str) -> Vector | None:
    if embedder is None:
        return None
    embedding = Embedding(embedder)
    try:
        return await embedding.vector(text, query=True)
    finally:
        await embedding.close()
