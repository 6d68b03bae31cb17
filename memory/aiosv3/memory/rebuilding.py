"""A second view beside the live one, built from the log, compared, and put in its place: nobody sees half of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from aiosv3.memory.applying import Applier
from aiosv3.memory.contents import Contents
from aiosv3.memory.feed import Feed
from aiosv3.memory.views.port import Digest, View
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError
from aiosv3.streams.log import Log

OpenView: TypeAlias = Callable[[], Awaitable[View]]
SwitchView: TypeAlias = Callable[[View], Awaitable[object]]
_REMEMBERED: Final = 16
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


class Rebuild:
    """One rebuild. ``open_view``: opens the new view, empty. No model is called: vectors are in the events.

    ``switch``: makes the new view live for other processes too, where they share it; raises where it cannot.
    """

    def __init__(
        self,
        log: Log,
        feed: Feed,
        codec: Codec,
        contents: Contents,
        open_view: OpenView,
        switch: SwitchView | None = None,
    ) -> None:
        self._log = log
        self._feed = feed
        self._codec = codec
        self._contents = contents
        self._open = open_view
        self._switch = switch
        self._at: dict[int, int] = {}
        self.records = 0

    async def run(self) -> tuple[Rebuilt, View]:
        """Builds, catches up, compares and switches; returns the view that was live, which is not closed.

        While the last records are read the live view takes nothing, but answers. Raises RebuildDiffers, DataLost.
        """
        feed = self._feed
        await feed.ready.wait()
        fresh = Applier(await self._open(), self._codec, self._contents)
        try:
            for partition in range(feed.partitions):
                self._at[partition] = (await self._log.bounds(feed.topic, partition)).start
                await feed.load_into(partition, self._at[partition], fresh)
            while sum(feed.positions.values()) - sum(self._at.values()) > _NEAR:
                await self._read_on(fresh)
            async with feed.still():
                await self._read_on(fresh)
                digests = await self._compared(fresh)
                if self._switch is not None:
                    await self._switch(fresh.view)
                before = feed.switch(fresh)
        except BaseException:
            await fresh.view.close()
            raise
        return Rebuilt(self.records, dict(self._at), digests), before.view

    async def _read_on(self, fresh: Applier) -> None:
        """Up to where the live view is now."""
        for partition, end in dict(self._feed.positions).items():
            if self._at[partition] < end:
                async for batch in self._log.read(self._feed.topic, partition, self._at[partition], end):
                    await fresh.apply(batch)
                    self.records += len(batch)
                self._at[partition] = end

    async def _compared(self, fresh: Applier) -> dict[str, Digest]:
        live = self._feed.applier
        tenants = {tenant for one in (live, fresh) for fold in one.folds.values() for tenant in fold.tenants()}
        digests = {}
        for tenant in sorted(tenants):
            ours, theirs = await fresh.view.digest(tenant), await live.view.digest(tenant)
            if ours != theirs:
                raise RebuildDiffers(
                    f"tenant {tenant}: the log gives {ours.count} memories ({ours.hash}), the live view has "
                    f"{theirs.count} ({theirs.hash})"
                )
            digests[tenant] = ours
        return digests


class LiveRebuild:
    """Rebuilds the live view of this process when somebody asks for it.

    A request comes once for each partition, and is one rebuild. The view that was live is let go of when the last
    search in it has ended.
    """

    def __init__(self, begin: Callable[[], Rebuild]) -> None:
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
