"""The newest records of topics, and what comes after them: topics that appear meanwhile are read from their start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiosv3.app.reading import Reading
from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.kafka import KafkaRefused, Overview
from aiosv3.streams.log import Bounds, Record

_POLL_S: Final = 0.2
_PATIENCE_S: Final = 15.0
"""A topic just created has no leader for a moment, and a broker may restart."""
Place = tuple[str, int]


@dataclass
class Following:
    """``topics`` says which there are now; ``wanted`` which of their records."""

    reading: Reading
    overview: Overview
    topics: Callable[[], Awaitable[Mapping[str, int]]]
    wanted: Callable[[Record], bool]
    positions: dict[Place, int] = field(default_factory=dict)

    async def newest(self, limit: int | None, begin: Mapping[Place, Bounds] | None = None) -> list[Record]:
        """What is there now, oldest first: the last ``limit`` of all topics together (None: all of them).

        ``begin``: ranges that are known already; without them the last ``limit`` of each partition are read.
        """
        bounds = dict(begin) if begin is not None else await self.overview.bounds(await self.topics())
        for place, held in bounds.items():
            back = held.start if limit is None or begin is not None else max(held.start, held.end - limit)
            self.positions[place] = back
        found = await self._read(bounds)
        return found if limit is None else found[len(found) - limit :] if limit < len(found) else found

    async def after(self) -> AsyncIterator[Record]:
        """What comes from now on. Raises what the broker said when it has said it for fifteen seconds."""
        loop = asyncio.get_running_loop()
        failing: float | None = None
        while True:
            await asyncio.sleep(_POLL_S)
            try:
                bounds = await self.overview.bounds(await self.topics())
                for place, held in bounds.items():
                    self.positions.setdefault(place, held.start)
                found = await self._read(bounds)
                failing = None
            except (BrokerUnavailable, KafkaRefused):
                failing = failing or loop.time()
                if loop.time() - failing > _PATIENCE_S:
                    raise
                continue
            for record in found:
                yield record

    async def _read(self, bounds: Mapping[Place, Bounds]) -> list[Record]:
        places = [(place, held) for place, held in bounds.items() if self.positions[place] < held.end]
        found = await asyncio.gather(*(self._of(place, held.end) for place, held in places))
        for place, held in places:
            self.positions[place] = held.end
        return sorted((record for records in found for record in records), key=_when)

    async def _of(self, place: Place, end: int) -> Sequence[Record]:
        held = Bounds(self.positions[place], end)
        return [record async for record in self.reading.between(*place, held) if self.wanted(record)]


def _when(record: Record) -> tuple[int, str, int, int]:
    return (record.timestamp, record.topic, record.partition, record.offset)
