"""Events of the memory log as the entries that views keep."""

from __future__ import annotations

from functools import lru_cache
from sys import intern
from typing import Final

from aiosv3.memory.access import view_scope
from aiosv3.memory.contents import Contents
from aiosv3.memory.views.port import Entry
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.memory import MemoryEvent
from aiosv3.streams.log import Record

_SCOPES: Final = 4_096


async def entry_of(event: MemoryEvent, record: Record, contents: Contents) -> Entry:
    """The version of a memory that an event makes. Raises WireError for what cannot be read."""
    said = await contents.read(event)
    valid_from = event.first_sent if event.valid_from is None else event.valid_from
    # What many memories share is held once; not what may be forgotten: what is interned can stay for ever.
    tenant, kind, embedder = intern(event.tenant), intern(event.kind or ""), intern(event.embedder or "")
    return Entry(
        id=event.memory_id or "",
        version=record.offset,
        tenant=tenant,
        scope=_scope(event.scope or "", event.clearance),
        kind=kind,
        text=said.text,
        valid_from=valid_from,
        recorded_at=record.timestamp,
        content_hash=event.content_hash or "",
        subject=event.subject,
        speaker=event.speaker,
        vector=said.vector,
        embedder=embedder or None,
        valid_to=event.valid_to,
        expires_at=event.expires_at,
        source=event.source or "",
        position=event.position,
        trust=event.trust,
        importance=event.importance,
        partition=record.partition,
        offset=record.offset,
    )


@lru_cache(_SCOPES)
def _scope(scope: str, clearance: str) -> str:
    return view_scope(scope, Clearance.parse(clearance))
