"""Reading topics for people: whole partitions, decoded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from aiosv3.app.workers import Mesh
from aiosv3.schemas.errors import RegistryUnavailable, WireError
from aiosv3.schemas.headers import CE_ID
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.errors import DataLost
from aiosv3.streams.kafka import topic_counts
from aiosv3.streams.log import Bounds, Record

_MAGIC: Final = b"\0"


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads through one mesh's connection."""

    mesh: Mesh

    async def exists(self, topic: str) -> bool:
        """True if the broker has this topic."""
        return topic in await topic_counts(self.mesh.connection, [topic])

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 if there is none."""
        return (await topic_counts(self.mesh.connection, [topic])).get(topic, 0)

    async def records(self, topic: str, partition: int, start: int = 0) -> AsyncIterator[Record]:
        """What one partition holds now, from ``start`` on."""
        bounds = await self.mesh.log.bounds(topic, partition)
        async for record in self.between(topic, partition, bounds._replace(start=max(start, bounds.start))):
            yield record

    async def between(self, topic: str, partition: int, held: Bounds) -> AsyncIterator[Record]:
        """A range that was asked for a moment ago; what has been deleted since then is passed over."""
        start = held.start
        while start < held.end:
            try:
                async for batch in self.mesh.log.read(topic, partition, start, held.end):
                    for record in batch:
                        start = record.offset + 1
                        yield record
                return
            except DataLost as lost:
                start = lost.start

    async def find(self, topic: str, partition: int, record_id: str, start: int) -> tuple[int, Record | None]:
        """The first record of an id at or after ``start``, and where to go on."""
        position = start
        async for record in self.records(topic, partition, start):
            position = record.offset + 1
            if record.header(CE_ID) == record_id.encode():
                return position, record
        return position, None

    async def decoded(self, record: Record) -> dict[str, Any]:
        """The value as plain data; what cannot be decoded says why."""
        value = record.value
        if value is None:
            return {}
        if value[:1] != _MAGIC:
            return _plain(value)
        for _ in range(2):
            try:
                datum = self.mesh.codec.decode(value).datum
                return datum if isinstance(datum, dict) else {"value": datum}
            except UnresolvedSchema as error:
                try:
                    await self.mesh.store.resolve(error.schema_id)
                except (WireError, RegistryUnavailable) as unknown:
                    return {"unreadable": str(unknown)}
            except WireError as error:
                return {"unreadable": str(error)}
        return {"unreadable": "its schema could not be resolved"}


def _plain(value: bytes) -> dict[str, Any]:
    try:
        found = json.loads(value)
    except ValueError:
        return {"bytes": repr(value[:200])}
    return found if isinstance(found, dict) else {"value": found}
