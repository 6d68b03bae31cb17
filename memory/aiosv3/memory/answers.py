"""What the asker's journal gets: answers of memory as JSON text, with what it takes to cite them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiosv3.memory.access import scope_in
from aiosv3.memory.rebuilding import Rebuilt
from aiosv3.memory.views.port import Entry, Hit
from aiosv3.schemas.memory import MemoryAction, MemoryEvent


def memory_json(entry: Entry, score: float | None = None) -> dict[str, Any]:
    """One memory, and where it stands on the log."""
    return {
        "id": entry.id,
        "version": entry.version,
        "text": entry.text,
        "kind": entry.kind,
        "scope": scope_in(entry.scope),
        "subject": entry.subject,
        "source": entry.source,
        "position": entry.position,
        "speaker": entry.speaker,
        "valid_from": entry.valid_from,
        "valid_to": entry.valid_to,
        "recorded_at": entry.recorded_at,
        "trust": entry.trust,
        "partition": entry.partition,
        "offset": entry.offset,
        "score": score,
    }


def recalled(hits: Sequence[Hit], as_of: Mapping[int, int], lag: int, *, degraded: bool) -> dict[str, Any]:
    """The answer to a recall. ``as_of``: by partition, the next event that the view has not seen."""
    return {
        "memories": [memory_json(hit.entry, round(hit.score, 6)) for hit in hits],
        "as_of": {str(partition): offset for partition, offset in sorted(as_of.items())},
        "lag": lag,
        "degraded": degraded,
    }


def noted(event: MemoryEvent, partition: int, offset: int) -> dict[str, Any]:
    """The answer to what was to be remembered or forgotten: where that stands on the log."""
    note: dict[str, Any] = {"id": event.memory_id, "partition": partition, "offset": offset}
    if event.action is MemoryAction.FORGET:
        note["receipt"] = receipt(event)
    return note


_KEY: Final = "by the key, where contents are sealed; "
STORES: Final = {
    "memory.events": _KEY + "else the text stays on the log",
    "memory.state": "by a tombstone",
    "memory views": "purged when they take this event, and in every rebuild",
    "memory.queries": _KEY + "and by retention",
    "prompts, completions, tools, tool-results, results, deltas, dead-letters": _KEY + "and by retention",
    "journals": _KEY + "and when their tasks have ended: the owner deletes them",
    "approvals, state": _KEY + "else it stays",
    "claims": _KEY + "else it stays",
    "keys": "shredded: the wrapped keys leave the disks when the topic is compacted",
    "tasks": "by retention: what outsiders produced in plain",
    "hot state": "by its own time to live",
}
"""Store -> how what is forgotten ends there. With dates: ``aiosv3 memory forget``."""


def receipt(event: MemoryEvent) -> dict[str, Any]:
    """What forgetting came to in each store, in words; the keys that were destroyed."""
    return {"subject": event.subject, "id": event.memory_id, "shredded": list(event.shredded), "stores": STORES}


def built(rebuilt: Rebuilt) -> dict[str, Any]:
    """What a rebuild of a live view came to, which was found equal to the view before."""
    tenants = {tenant: {"count": one.count, "hash": one.hash} for tenant, one in rebuilt.digests.items()}
    return {"records": rebuilt.records, "tenants": tenants, **({"kept": rebuilt.kept} if rebuilt.kept else {})}


def text_of(answer: Mapping[str, Any]) -> str:
    """As a journal holds it."""
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
