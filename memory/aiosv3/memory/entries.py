"""Events of the memory log as the entries that views keep."""

from __future__ import annotations

from aiosv3.memory.access import view_scope
from aiosv3.memory.contents import Contents
from aiosv3.memory.views.port import Entry
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.memory import MemoryEvent
from aiosv3.streams.log import Record


async def entry_of(event: MemoryEvent, record: Record, contents: Contents) -> Entry:
    """The version of a memory that an event makes. Raises WireError for what cannot be read."""
    said = await contents.read(event)
    valid_from = event.first_sent if event.valid_from is None else event.valid_from
    return Entry(
        id=event.memory_id or "",
        version=record.offset,
        tenant=event.tenant,
        scope=view_scope(event.scope or "", Clearance.parse(event.clearance)),
        kind=event.kind or "",
        text=said.text,
        valid_from=valid_from,
        recorded_at=record.timestamp,
        content_hash=event.content_hash or "",
        subject=event.subject,
        speaker=event.speaker,
        vector=said.vector,
        embedder=event.embedder,
        valid_to=event.valid_to,
        expires_at=event.expires_at,
        source=event.source or "",
        position=event.position,
        trust=event.trust,
        importance=event.importance,
        partition=record.partition,
        offset=record.offset,
    )
