"""A second view beside the live one, built from the log, compared, and put in its place: nobody sees half of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from aiosv3.memory.applying import Applier
from aiosv3.memory.contents import Contents
from aiosv3.memory.feed import Feed
from aiosv3.memory.views.errors import ViewUnavailable
from aiosv3.memory.views.port import Digest, View
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError
from aiosv3.streams.log import Log

OpenView: TypeAlias = Callable[[], Awaitable[View]]
_REMEMBERED: Final = 16
_PATIENCE_S: Final = 600.0
_NEAR: Final = 1_000
"""Records behind the live view at which that one is held for the rest."""


class RebuildDiffers(AiosError):
    """What was built from the log is not what the live view holds: the live one stays, and somebody has to look."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a view was built from, and what it holds: by tenant, how many memories and the hash of them all."""

    records: int
    positions: Mapping[int, int]
    digests: Mapping[str, Digest] = field(default_factory=dict)
    kept: str = ""
    """The name of the view before, where that is kept until somebody confirms the new one."""


class Replay:
    """The log into a new view, up to where the live view of ``feed`` is. ``at``: the next records, by partition."""

    def __init__(self, log: Log, feed: Feed, fresh: Applier) -> None:
        self.fresh = fresh
        self.at: dict[int, int] = {}
        self.records = 0
        self._log = log
        self._feed = feed

    async def run(self) -> None:
        """All but the last records: the live view goes on meanwhile. Raises DataLost."""
        feed = self._feed
        for partition in range(feed.partitions):
            self.at[partition] = (await self._log.bounds(feed.topic, partition)).start
            await feed.load_into(partition, self.at[partition], self.fresh)
        while sum(feed.positions.values()) - sum(self.at.values()) > _NEAR:
            await self.read_on()

    async def read_on(self) -> None:
        """Up to where the live view is now."""
        for partition, end in dict(self._feed.positions).items():
            if self.at[partition] < end:
                async for batch in self._log.read(self._feed.topic, partition, self.at[partition], end):
                    await self.fresh.apply(batch)
                    self.records += len(batch)
                self.at[partition] = end

    async def catch_up(self) -> None:
        """Until the live view knows all that is on the log by now. Raises ViewUnavailable where it stands still."""
        feed = self._feed
        bounds = {number: await self._log.bounds(feed.topic, number) for number in range(feed.partitions)}
        ends = {number: end - 1 for number, (start, end) in bounds.items() if end > start}
        if not await feed.reach(ends, _PATIENCE_S):
            raise ViewUnavailable(f"the view is behind the log for more than {_PATIENCE_S:g} s")

    def tenants(self) -> list[str]:
        """All that have memories, in the live view or in the new one."""
        appliers = (self._feed.applier, self.fresh)
        return sorted({tenant for one in appliers for fold in one.folds.values() for tenant in fold.tenants()})


class Rebuild:
    """One rebuild of this process' own view. ``open_view``: opens the new one, empty. No model is called."""

    def __init__(self, log: Log, feed: Feed, codec: Codec, contents: Contents, open_view: OpenView) -> None:
        self._log = log
        self._feed = feed
        self._codec = codec
        self._contents = contents
        self._open = open_view

    async def run(self) -> tuple[Rebuilt, View]:
        """Builds, catches up, compares and switches; returns the view that was live, which is not closed.

        What was on the log when it was asked for is in both. While the last records are read the live view takes
        nothing, but answers. Raises RebuildDiffers, DataLost, ViewUnavailable.
        """
        feed = self._feed
        await feed.ready.wait()
        fresh = Applier(await self._open(), self._codec, self._contents)
        replay = Replay(self._log, feed, fresh)
        try:
            await replay.run()
            await replay.catch_up()
            async with feed.still():
                await replay.read_on()
                digests = await self._compared(replay)
                before = feed.switch(fresh)
        except BaseException:
            await fresh.view.close()
            raise
        return Rebuilt(replay.records, dict(replay.at), digests), before.view

    async def _compared(self, replay: Replay) -> dict[str, Digest]:
        digests = {}
        for tenant in replay.tenants():
            ours, theirs = await replay.fresh.view.digest(tenant), await self._feed.applier.view.digest(tenant)
            if ours != theirs:
                raise RebuildDiffers(
                    f"tenant {tenant}: the log gives {ours.count} memories ({ours.hash}), the live view has "
                    f"{theirs.count} ({theirs.hash})"
                )
            digests[tenant] = ours
        return digests


class Rebuilding(Protocol):
    """A rebuild that can be run once."""

    async def run(self) -> tuple[Rebuilt, View]:
        """What was built, and the view that was live. Raises RebuildDiffers, DataLost, ViewUnavailable."""
        ...


class LiveRebuild:
    """Rebuilds the live view of this process when somebody asks for it.

    A request comes once for each partition, and is one rebuild. The view that was live is let go of when the last
    search in it has ended.
    """

    def __init__(self, begin: Callable[[], Rebuilding]) -> None:
        self._begin = begin
        self._asked: dict[str, asyncio.Task[Rebuilt]] = {}
        self._one = asyncio.Lock()

    async def run(self, name: str) -> Rebuilt:
        """The rebuild of this name, begun now or before. Raises RebuildDiffers, DataLost, ViewUnavailable."""
        if name not in self._asked:
            self._asked[name] = asyncio.get_running_loop().create_task(self._run())
            while len(self._asked) > _REMEMBERED:
                self._asked.pop(next(iter(self._asked)))
        return await asyncio.shield(self._asked[name])

    async def _run(self) -> Rebuilt:
        async with self._one:
            rebuilt, _ = await self._begin().run()
            return rebuilt
