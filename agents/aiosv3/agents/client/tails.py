"""Shared readers: one for each partition, whoever wants to hear of how many tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final, TypeAlias

from aiosv3.agents.client.link import Link
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import CE_ID
from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.log import Record

_LOG: Final = logging.getLogger(__name__)
_LINGER_S: Final = 30.0
"""A reader that nobody listens to any more stays for a while: the next task is often near."""
_AGAIN_S: Final = 0.2

Heard: TypeAlias = Callable[[Record], None]


def tasks_of(record: Record) -> Iterator[bytes]:
    """The ids of the tasks that a record may belong to: its own id, and what stands before each slash in it.

    Steps are named ``task/step``, and so are the tasks of called agents.
    """
    name = record.header(CE_ID) or b""
    yield name
    at = name.rfind(b"/")
    while at > 0:
        yield name[:at]
        at = name.rfind(b"/", 0, at)


class Tail:
    """Reads one partition from its end at :meth:`open` on, and tells each listener what is of its task.

    ``position``: the next offset that it will read. ``failure``: why it stopped, if it did.
    """

    def __init__(self, link: Link, topic: str, partition: int, idle: Callable[[Tail], None]) -> None:
        self.topic = topic
        self.partition = partition
        self.position = 0
        self.failure: AiosError | None = None
        self._link = link
        self._idle = idle
        self._by_task: dict[bytes, list[Heard]] = {}
        self._by_all: list[Heard] = []
        self._on_failure: list[Callable[[AiosError], None]] = []
        self._moved = asyncio.Event()
        self._asking = asyncio.Lock()
        self._arrived = self._answered = 0
        self._end = 0
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Asks for the end once; what comes after it is not missed."""
        self.position = (await self._link.log.bounds(self.topic, self.partition)).end
        self._reading = asyncio.create_task(self._read(), name=f"{self.topic}[{self.partition}]")

    def stop(self) -> None:
        """Reads no more."""
        if self._reading is not None:
            self._reading.cancel()

    async def close(self) -> None:
        """Returns once nothing is read any more."""
        self.stop()
        if self._reading is not None:
            await asyncio.wait([self._reading])

    @property
    def listeners(self) -> int:
        """How many hear of it."""
        return len(self._by_all) + sum(map(len, self._by_task.values()))

    def listen(self, task: bytes | None, heard: Heard) -> Callable[[], None]:
        """``heard`` is called for what is of a task (None: for all), until what this returns is called."""
        place = self._by_all if task is None else self._by_task.setdefault(task, [])
        place.append(heard)

        def leave() -> None:
            if heard in place:
                place.remove(heard)
            if not place and task is not None:
                self._by_task.pop(task, None)
            if not self.listeners:
                self._idle(self)

        return leave

    def on_failure(self, failed: Callable[[AiosError], None]) -> None:
        """``failed`` is called when reading ends for good: records are gone, or may not be read."""
        self._on_failure.append(failed)

    async def end(self) -> int:
        """Where the partition ends, asked after this call; one question answers all who have come by then."""
        self._arrived += 1
        ticket = self._arrived
        async with self._asking:
            if self._answered < ticket:
                upto = self._arrived
                self._end = (await self._link.log.bounds(self.topic, self.partition)).end
                self._answered = upto
            return self._end

    async def reached(self, end: int) -> None:
        """Returns once everything below ``end`` was read, or nothing more will be.

        The end of a transaction has an offset and no record: what is left is looked at when nothing comes for a while.
        """
        while self.position < end and self.failure is None:
            self._moved.clear()
            try:
                async with asyncio.timeout(_AGAIN_S):
                    await self._moved.wait()
            except TimeoutError:
                if await self._is_empty(self.position, end):
                    return

    async def _is_empty(self, start: int, end: int) -> bool:
        """Whether ``[start, end)`` is there and holds no record; False where nobody says."""
        try:
            if (await self._link.log.bounds(self.topic, self.partition)).end < end:
                return False
            return not [record async for record in self.past(start, end)]
        except AiosError as error:
            _LOG.info("%s[%d] is looked at again: %s", self.topic, self.partition, error)
            return False

    async def past(self, start: int, end: int) -> AsyncIterator[Record]:
        """What the partition holds of ``[start, end)``; what is gone is passed over."""
        begin = max(start, (await self._link.log.bounds(self.topic, self.partition)).start)
        if begin < end:
            async for batch in self._link.log.read(self.topic, self.partition, begin, end):
                for record in batch:
                    yield record

    async def _read(self) -> None:
        try:
            while True:
                try:
                    async for batch in self._link.follower.follow(self.topic, self.partition, self.position):
                        self._tell(batch)
                except BrokerUnavailable as error:
                    _LOG.warning("%s[%d] is read again in a moment: %s", self.topic, self.partition, error)
                await asyncio.sleep(_AGAIN_S)
        except AiosError as error:
            self.fail(error)

    def fail(self, error: AiosError) -> None:
        """Nothing more is read; whoever wanted to know is told why."""
        self.failure = error
        self._moved.set()
        for failed in self._on_failure:
            failed(error)

    def _tell(self, batch: Sequence[Record]) -> None:
        for record in batch:
            for heard in list(self._by_all):
                heard(record)
            if self._by_task:
                for task in tasks_of(record):
                    for heard in list(self._by_task.get(task, ())):
                        heard(record)
            self.position = record.offset + 1
        self._moved.set()


class Tails:
    """The readers of one client."""

    def __init__(self, link: Link, linger: float = _LINGER_S) -> None:
        self.link = link
        self._linger = linger
        self._opening: dict[tuple[str, int], asyncio.Task[Tail]] = {}

    async def at(self, topic: str, partition: int) -> Tail:
        """The reader of a partition, open. Raises what asking the broker for its end raises."""
        place = (topic, partition)
        opening = self._opening.get(place)
        if opening is None or _failed(opening):
            opening = self._opening[place] = asyncio.create_task(self._open(topic, partition))
        return await asyncio.shield(opening)

    async def _open(self, topic: str, partition: int) -> Tail:
        tail = Tail(self.link, topic, partition, self._idle)
        await tail.open()
        return tail

    def _idle(self, tail: Tail) -> None:
        asyncio.get_running_loop().call_later(self._linger, self._retire, tail)

    def _retire(self, tail: Tail) -> None:
        place = (tail.topic, tail.partition)
        opening = self._opening.get(place)
        if not tail.listeners and opening is not None and not _failed(opening) and opening.result() is tail:
            del self._opening[place]
            tail.stop()

    async def close(self) -> None:
        """Ends all reading."""
        opening, self._opening = list(self._opening.values()), {}
        for task in opening:
            if task.done() and not task.cancelled() and task.exception() is None:
                await task.result().close()
            else:
                task.cancel()
                await asyncio.wait([task])


def _failed(opening: asyncio.Task[Tail]) -> bool:
    if not opening.done():
        return False
    return opening.cancelled() or opening.exception() is not None or opening.result().failure is not None
