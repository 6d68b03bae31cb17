"""Reading a partition to its end and beyond: records as they come, apart from any group."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.log import Log, Record

_LOG: Final = logging.getLogger(__name__)


class Follower(Protocol):
    """Any number of partitions, each followed by one caller at a time. Nothing here blocks the loop."""

    def follow(self, topic: str, partition: int, start: int) -> AsyncIterator[Sequence[Record]]:
        """Batches of all records from ``start`` on, in order, for ever; close the iterator to end it.

        While no broker answers it waits. Raises :class:`DataLost` when ``start`` is gone, and what a broker refuses.
        """
        ...

    async def close(self) -> None:
        """Frees what it holds; iterators that are still open end."""
        ...


class PollingFollower:
    """On any log: asks where a partition ends, every ``every`` seconds. Kafka has a better one."""

    def __init__(self, log: Log, every: float = 0.02) -> None:
        self._log = log
        self._every = every
        self._closed = False

    async def follow(self, topic: str, partition: int, start: int) -> AsyncIterator[Sequence[Record]]:
        """See :meth:`Follower.follow`."""
        position = start
        while not self._closed:
            try:
                end = (await self._log.bounds(topic, partition)).end
                if position < end:
                    async for batch in self._log.read(topic, partition, position, end):
                        position = batch[-1].offset + 1
                        yield batch
                    position = end
            except BrokerUnavailable as error:
                _LOG.info("%s[%d] is asked again: %s", topic, partition, error)
            await asyncio.sleep(self._every)

    async def close(self) -> None:
        """See :meth:`Follower.close`."""
        self._closed = True
