"""The live view of a process: every partition of the memory log is followed, folded and applied, in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Final, TypeAlias

from aiosv3.memory.applying import Applier
from aiosv3.memory.fold import Ended, Fold, Key
from aiosv3.schemas.errors import AiosError
from aiosv3.streams.errors import BrokerUnavailable, DataLost
from aiosv3.streams.following import Follower
from aiosv3.streams.log import Log

_RETRY_S: Final = 0.5
_ENDS_S: Final = 1.0
_LOG: Final = logging.getLogger(__name__)


Load: TypeAlias = Callable[[int, Applier], Awaitable[None]]
"""Reads a partition as its states tell it, where the log no longer has its beginning."""


class Feed:
    """Follows all ``partitions`` of ``topic`` into ``applier``'s view.

    ``ready`` is set when the view knows all that was on the log when the feed began: nothing is answered from a half
    view. All methods are of one event loop.
    """

    def __init__(
        self, log: Log, follower: Follower, topic: str, partitions: int, applier: Applier, load: Load | None = None
    ) -> None:
        self.topic = topic
        self.partitions = partitions
        self.applier = applier
        self.positions: dict[int, int] = {}
        """By partition: the next event that the view has not taken."""
        self.ready = asyncio.Event()
        self.failed: AiosError | None = None
        self._log = log
        self._follower = follower
        self._load = load
        self._ends: dict[int, int] = {}
        self._began: dict[int, int] = {}
        self._moved = asyncio.Event()
        self._still = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begins at the start of the log. Raises what the log raises when it is asked where that is."""
        for partition in range(self.partitions):
            bounds = await self._log.bounds(self.topic, partition)
            await self.load_into(partition, bounds.start, self.applier)
            self.positions[partition] = bounds.start
            self._ends[partition] = self._began[partition] = bounds.end
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow(partition)) for partition in range(self.partitions)]
        self._tasks.append(loop.create_task(self._watch_ends()))
        self._note()

    async def load_into(self, partition: int, start: int, applier: Applier) -> None:
        """What the log no longer has below ``start``, out of the states of the partition."""
        if start > 0 and self._load is not None:
            await self._load(partition, applier)

    async def watch(self) -> None:
        """Until something that follows has ended, which it does in an error: that is raised."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Ends the following; the view is not closed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def fold(self, partition: int) -> Fold:
        """What is known of one partition."""
        return self.applier.fold(partition)

    @property
    def forgotten(self) -> Mapping[int, Mapping[Key, Ended]]:
        """By partition: what was forgotten."""
        return {partition: self.fold(partition).forgotten for partition in range(self.partitions)}

    def scopes(self, tenant: str) -> set[str]:
        """All scopes in which a tenant has memories."""
        return {scope for fold in self.applier.folds.values() for scope in fold.scopes(tenant)}

    def lag(self) -> int:
        """How many records the log has, as far as is known, that the view has not taken."""
        return sum(max(0, end - self.positions.get(partition, 0)) for partition, end in self._ends.items())

    async def reach(self, positions: Mapping[int, int], patience: float) -> bool:
        """Waits until the view knows all up to and with these offsets; False after ``patience`` seconds."""
        try:
            async with asyncio.timeout(patience):
                while not self._has(positions):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    def _has(self, positions: Mapping[int, int]) -> bool:
        return all(self.positions.get(partition, -1) > offset for partition, offset in positions.items())

    async def _follow(self, partition: int) -> None:
        while True:
            try:
                async with aclosing(self._follower.follow(self.topic, partition, self.positions[partition])) as batches:  # type: ignore[type-var]
                    async for batch in batches:
                        async with self._still:
                            await self.applier.apply(batch)
                            self._advance(partition, batch[-1].offset + 1)
                return
            except BrokerUnavailable as error:
                _LOG.info("%s[%d] is followed again: %s", self.topic, partition, error)
                await asyncio.sleep(_RETRY_S)
            except DataLost as error:
                self.failed = error
                raise

    def _advance(self, partition: int, position: int) -> None:
        self.positions[partition] = position
        self._ends[partition] = max(self._ends[partition], position)
        self._note()

    def _note(self) -> None:
        self._moved.set()
        if not self.ready.is_set() and all(self.positions[number] >= end for number, end in self._began.items()):
            self.ready.set()

    async def _watch_ends(self) -> None:
        while True:
            await asyncio.sleep(_ENDS_S)
            for partition in range(self.partitions):
                try:
                    end = (await self._log.bounds(self.topic, partition)).end
                except AiosError as error:
                    _LOG.info("%s[%d]: its end is not known now: %s", self.topic, partition, error)
                    break
                self._ends[partition] = max(self._ends[partition], end)

    def switch(self, fresh: Applier) -> Applier:
        """Puts another view in the place of the live one, which is returned; ``fresh`` must be where the feed is.

        Call it within :meth:`still`.
        """
        before, self.applier = self.applier, fresh
        fresh.heard.update(before.heard)
        return before

    def still(self) -> asyncio.Lock:
        """Held, the view takes nothing: it stays at :attr:`positions`."""
        return self._still
