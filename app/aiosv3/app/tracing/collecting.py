"""All that the log has of a task, decoded, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiosv3.app.reading import Reading
from aiosv3.app.tracing.locating import Place, Wanted, event_of, ranges, traced_topics
from aiosv3.app.tracing.membership import Membership, id_of
from aiosv3.schemas.headers import CE_TYPE
from aiosv3.streams.kafka import Overview
from aiosv3.streams.log import Bounds, Record

Row = dict[str, Any]
"""One record: ``timestamp``, ``topic`` without the prefix, ``partition``, ``offset``, ``id``, ``type``, ``value``."""

_ASKED: Final = ("tasks.", "prompts", "decisions", "prompts.", "completions.", "tools.", "tool-results.")
_CAUSES: Final = (*_ASKED, "journal.", "approvals", "results.", "dead-letters")


async def collect(reading: Reading, overview: Overview, wanted: Wanted) -> list[Row]:
    """The rows of a task and of all below it. Reads from its event on; where that is gone, everything."""
    counts = await traced_topics(overview, reading.mesh.topics)
    event = await event_of(reading, overview, wanted)
    places = await ranges(reading, overview, counts, event)
    return await _rows(reading, places, Membership(wanted.task_id))


async def _rows(reading: Reading, places: Mapping[Place, Bounds], members: Membership) -> list[Row]:
    prefix = reading.mesh.topics.prefix

    async def of(place: Place, held: Bounds) -> list[Row]:
        return [
            row_of(prefix, record, await reading.decoded(record))
            async for record in reading.between(*place, held)
            if members.holds(record)
        ]

    found = await asyncio.gather(*(of(place, held) for place, held in places.items() if held.start < held.end))
    return sorted((row for rows in found for row in rows), key=_when)


def row_of(prefix: str, record: Record, value: dict[str, Any]) -> Row:
    """One record as ``--json`` prints it; stable."""
    return {
        "timestamp": record.timestamp,
        "topic": record.topic.removeprefix(prefix),
        "partition": record.partition,
        "offset": record.offset,
        "id": id_of(record),
        "type": (record.header(CE_TYPE) or b"").decode("utf-8", "replace"),
        "value": value,
    }


def _when(row: Row) -> tuple[int, int, str, int]:
    """Records of one millisecond, in the order in which they cause each other."""
    causes = [place for place, kind in enumerate(_CAUSES) if row["topic"].startswith(kind)]
    return (row["timestamp"], max(causes, default=len(_CAUSES)), row["topic"], row["offset"])
