"""Documents into memory: only what is new or changed is sent, and what is gone from a document ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiosv3.app.documents import Place, fetch
from aiosv3.app.memoryasking import MemoryAsking
from aiosv3.app.projects import mesh_secret
from aiosv3.app.recollection import MemoryReading
from aiosv3.app.workers import Mesh
from aiosv3.memory.access import view_scope
from aiosv3.memory.documents import DocumentUnreadable, chunks, read
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.memory import memory_id_of, place_of, subject_of

if TYPE_CHECKING:
    from aiosv3.memory.views.port import Entry

_AT_ONCE: Final = 64
"""Chunks that are on their way: what an embedder takes in one call."""


@dataclass(frozen=True, slots=True)
class Filing:
    """Where the chunks of documents go, and what is said of all of them. ``subject``: its name, or None."""

    tenant: str
    scope: str
    kind: str
    clearance: Clearance
    trust: int
    subject: str | None = None


@dataclass(slots=True)
class Ingested:
    """What came of it: documents, and chunks by what was done with them; why documents or chunks were left out."""

    documents: int = 0
    chunks: int = 0
    sent: int = 0
    unchanged: int = 0
    ended: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Ingesting:
    """One run over a mesh. It may be killed at any time: the next one does what is left."""

    def __init__(self, mesh: Mesh, filing: Filing, wait: float) -> None:
        self._mesh = mesh
        self._filing = filing
        self._wait = wait
        self._asking = MemoryAsking(mesh)
        self._secret = mesh_secret(mesh.settings)
        about = None if filing.subject is None else subject_of(self._secret, filing.tenant, filing.subject)
        self._place = place_of(self._secret, filing.tenant, filing.scope, about)
        self._waiting: list[tuple[str, int]] = []
        self._held: dict[str, dict[str, Entry]] = {}
        self.done = Ingested()

    async def look(self) -> None:
        """Reads what memory holds of documents already."""
        recollection = await MemoryReading(self._mesh).recollect()
        tenant = self._filing.tenant
        for entry in await recollection.view.get(tenant, list(recollection.held(tenant))):
            if entry.id == self._id(entry.source, entry.position):
                self._held.setdefault(entry.source, {})[entry.id] = entry
        await recollection.view.close()

    @property
    def sources(self) -> list[str]:
        """The documents that memory holds under this filing."""
        return sorted(self._held)

    async def documents(self, places: Sequence[Place], advance: Callable[[str], None]) -> None:
        """Takes documents in, and waits until memory has them. ``advance`` is called after each, with its source."""
        for place in places:
            try:
                fetched = await fetch(place)
                texts = chunks(await asyncio.to_thread(read, fetched.content, fetched.suffix))
            except DocumentUnreadable as error:
                self.done.skipped[place.source] = str(error)
            else:
                self.done.documents += 1
                await self._take(place.source, texts)
            advance(place.source)
        await self._settle()

    async def end(self, sources: Sequence[str]) -> None:
        """Ends all that came from documents that are gone."""
        for source in sources:
            await self._end(list(self._held.pop(source, {})))
        await self._settle()

    async def _take(self, source: str, texts: Sequence[str]) -> None:
        held = self._held.pop(source, {})
        self.done.chunks += len(texts)
        for position, text in enumerate(texts):
            before = held.pop(self._id(source, position), None)
            if before is not None and self._same(before, text):
                self.done.unchanged += 1
                continue
            self._waiting.append(await self._asking.remember(self._line(source, position, text), self._filing.tenant))
            self.done.sent += 1
            if len(self._waiting) >= _AT_ONCE:
                await self._settle()
        await self._end(list(held))

    async def _end(self, ids: Sequence[str]) -> None:
        for memory_id in ids:
            self._waiting.append(await self._asking.end(self._filing.tenant, memory_id))
            self.done.ended += 1

    async def _settle(self) -> None:
        for name, partition in self._waiting:
            event = await self._asking.answered(name, partition, self._wait)
            if event.error is not None:
                self.done.refused.append(event.error.message)
        self._waiting.clear()

    def _same(self, entry: Entry, text: str) -> bool:
        filing = self._filing
        return (entry.text, entry.trust, entry.scope) == (
            text,
            filing.trust,
            view_scope(filing.scope, filing.clearance),
        )

    def _id(self, source: str, position: int) -> str:
        """A chunk is known by its place in its document: what stands there next is its next version."""
        filing = self._filing
        key = f"{source}#{position}"
        return memory_id_of(self._secret, filing.tenant, self._place, filing.scope, filing.kind, "key", key)

    def _line(self, source: str, position: int, text: str) -> str:
        filing = self._filing
        told: Mapping[str, Any] = {
            "id": self._id(source, position),
            "text": text,
            "scope": filing.scope,
            "kind": filing.kind,
            "class": filing.clearance.label,
            "trust": filing.trust,
            "source": source,
            "position": position,
            "subject_name": filing.subject,
        }
        return json.dumps(told, ensure_ascii=False)
