"""What was known at a time: the log up to there, in a view of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiosv3.memory.applying import Applier
from aiosv3.memory.contents import Contents
from aiosv3.memory.feed import Feed
from aiosv3.memory.recalling import AsOfPruned
from aiosv3.memory.views.port import View
from aiosv3.schemas.codec import Codec
from aiosv3.streams.log import Log

OpenView = Callable[[], Awaitable[View]]
_KEPT: Final = 2


class PastViews:
    """Reads the memory log up to a time, and keeps the last few views that it made.

    What has been forgotten since stays forgotten: it is not shown in any past.
    """

    def __init__(self, log: Log, feed: Feed, codec: Codec, contents: Contents, open_view: OpenView) -> None:
        self._log = log
        self._feed = feed
        self._codec = codec
        self._contents = contents
        self._open = open_view
        self._made: dict[tuple[tuple[int, int], ...], tuple[Applier, int]] = {}

    async def known(self, moment: int | Mapping[int, int]) -> tuple[Applier, dict[int, int]]:
        """See :class:`~aiosv3.memory.recalling.Past`."""
        ends = await ends_of(self._log, self._feed.topic, self._feed.partitions, moment)
        place, forgotten = tuple(sorted(ends.items())), sum(map(len, self._feed.forgotten.values()))
        known = self._made.get(place)
        if known is None or known[1] != forgotten:
            self._made[place] = (await self._read(ends), forgotten)
            while len(self._made) > _KEPT:
                applier, _ = self._made.pop(next(iter(self._made)))
                await applier.view.close()
        return self._made[place][0], ends

    async def _read(self, ends: dict[int, int]) -> Applier:
        applier = Applier(await self._open(), self._codec, self._contents, self._feed.forgotten)
        for partition, end in ends.items():
            async for batch in self._log.read(self._feed.topic, partition, 0, end):
                await applier.apply(batch)
        return applier


async def ends_of(log: Log, topic: str, partitions: int, moment: int | Mapping[int, int]) -> dict[int, int]:
    """By partition the first event that was not known at a time (ms), or as of positions.

    A partition that they do not name: as of the time of the first event that was not known. Raises AsOfPruned.
    """
    bounds = {number: await log.bounds(topic, number) for number in range(partitions)}
    for number, (start, _) in bounds.items():
        if start > 0:
            raise AsOfPruned(await _time_at(log, topic, number, start) or 0, number, start)
    named = (
        {} if isinstance(moment, int) else {one: min(bounds[one].end, moment[one]) for one in moment if one in bounds}
    )
    until: int | None = None
    if isinstance(moment, int):
        until = moment + 1
    else:
        unknown = [await _time_at(log, topic, one, offset) for one, offset in named.items() if offset < bounds[one].end]
        until = min((time for time in unknown if time is not None), default=None)
    ends = {}
    for number, (_, end) in bounds.items():
        then = end if until is None else min(end, await log.offset_at(topic, number, until))
        ends[number] = named.get(number, then)
    return ends


async def _time_at(log: Log, topic: str, partition: int, offset: int) -> int | None:
    async for batch in log.read(topic, partition, offset, offset + 1):
        return batch[0].timestamp
    return None
