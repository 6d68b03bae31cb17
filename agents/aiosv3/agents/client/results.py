"""Who waits for which result of a partition, and where each result is: one reader, however many wait."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiosv3.agents.client.errors import ClientClosed
from aiosv3.agents.client.tails import Tail, Tails
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import CE_ID
from aiosv3.streams.log import Record

_ROOM: Final = 100_000
_PATIENCE_S: Final = 1.0
"""A task with an id of the caller's own may be an old one; most are new and have an answer soon."""


class Places:
    """The offset of the first record of each id in ``[low, …)``; ``low`` rises with more than ``room`` ids."""

    def __init__(self, low: int, room: int = _ROOM) -> None:
        self.low = low
        self._room = room
        self._places: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def add(self, name: bytes, offset: int) -> None:
        """The next record; the first one of its id counts."""
        self._places.setdefault(name, offset)
        if len(self._places) > self._room:
            self.low = self._places.popitem(last=False)[1] + 1

    def find(self, name: bytes) -> int | None:
        """None: it is not in the part that is known."""
        return self._places.get(name)

    def follow(self, later: Places) -> None:
        """Takes over what comes behind it."""
        for name, offset in later._places.items():
            self.add(name, offset)


class ResultBook:
    """The results of one partition of an agent. Everything runs on one event loop.

    ``room``: how many results it remembers the place of; older ones are found by reading again.
    """

    def __init__(self, tail: Tail, tails: Tails, room: int = _ROOM, patience: float = _PATIENCE_S) -> None:
        self._tail = tail
        self._log = tails.link.log
        self._room = room
        self._patience = patience
        self._places = Places(tail.position, room)
        self._waiting: dict[bytes, set[asyncio.Future[Record]]] = {}
        self._looking = asyncio.Lock()
        self._absent: OrderedDict[bytes, int] = OrderedDict()
        tail.listen(None, self._heard)
        tail.on_failure(self._failed)

    @property
    def failed(self) -> bool:
        """True once nothing is read any more."""
        return self._tail.failure is not None

    # -- asking ---------------------------------------------------------------------------------------------------

    async def find(self, task_id: str, since: int | None) -> Record | None:
        """The result, if the log has one now. ``since``: broker time (ms) before which there is none, None: any."""
        name = task_id.encode()
        end = await self._tail.end()
        if (known := await self._known(name)) is not None:
            return known
        with self._expecting(name) as found:
            await self._look_back(name, since)
            if found.done():
                return await found
        position = self._tail.position
        if position < end:
            async for batch in self._log.read(self._tail.topic, self._tail.partition, position, end):
                for record in batch:
                    if record.header(CE_ID) == name:
                        return record
        return None

    async def wait(self, task_id: str, since: int | None, *, fresh: bool = False, hurry: bool = True) -> Record:
        """The result, once there is one. ``fresh``: nobody can have had this id before this reader was opened.

        ``hurry``: look back at once, not only when nothing comes. Raises DataLost and what else stops the reader.
        """
        name = task_id.encode()
        if (known := await self._known(name)) is not None:
            return known
        with self._expecting(name) as found:
            if self._tail.failure is not None:
                raise self._tail.failure
            if fresh:
                return await found
            if not hurry:
                await asyncio.wait([found], timeout=self._patience)
            if not found.done():
                await self._look_back(name, since)
            return await found

    async def _known(self, name: bytes) -> Record | None:
        offset = self._places.find(name)
        if offset is None:
            return None
        topic, partition = self._tail.topic, self._tail.partition
        async for batch in self._log.read(topic, partition, offset, offset + 1):
            return batch[0]
        return None

    @contextmanager
    def _expecting(self, name: bytes) -> Iterator[asyncio.Future[Record]]:
        future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, set()).add(future)
        try:
            yield future
        finally:
            future.cancel()
            others = self._waiting.get(name)
            if others is not None:
                others.discard(future)
                if not others:
                    del self._waiting[name]

    # -- what comes -----------------------------------------------------------------------------------------------

    def _heard(self, record: Record) -> None:
        name = record.header(CE_ID) or b""
        self._places.add(name, record.offset)
        self._resolve(name, record)

    def _resolve(self, name: bytes, record: Record) -> None:
        for future in self._waiting.pop(name, ()):
            if not future.done():
                future.set_result(record)

    def close(self) -> None:
        """Whoever waits is told so."""
        self._failed(ClientClosed("the client was closed; the task goes on, and its handle reopens it"))

    def _failed(self, error: AiosError) -> None:
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    # -- what came before -----------------------------------------------------------------------------------------

    async def _look_back(self, name: bytes, since: int | None) -> None:
        """Reads what was there before the reader was opened, once for all who want it at a time.

        What it passes is remembered, so that it is read again only for results older than the ``room`` newest.
        """
        topic, partition = self._tail.topic, self._tail.partition
        async with self._looking:
            if name not in self._waiting:
                return
            if (known := await self._known(name)) is not None:
                self._resolve(name, known)
                return
            begin = max((await self._log.bounds(topic, partition)).start, self._absent.get(name, 0))
            if since is not None:
                begin = max(begin, await self._log.offset_at(topic, partition, since))
            end = self._places.low
            if begin < end:
                await self._pass(begin, end)
            if name in self._waiting:
                self._not_below(self._tail.position, name)

    def _not_below(self, offset: int, name: bytes) -> None:
        """Whoever asks again and again for a task that goes on does not have the past read each time."""
        self._absent[name] = offset
        self._absent.move_to_end(name)
        if len(self._absent) > self._room:
            self._absent.popitem(last=False)

    async def _pass(self, begin: int, end: int) -> None:
        passed = Places(begin, self._room)
        async for batch in self._log.read(self._tail.topic, self._tail.partition, begin, end):
            for record in batch:
                found = record.header(CE_ID) or b""
                passed.add(found, record.offset)
                self._resolve(found, record)
        if self._places.low == end:  # else what has come since takes all the room
            passed.follow(self._places)
            self._places = passed


class Books:
    """The books of one client."""

    def __init__(self, tails: Tails) -> None:
        self._tails = tails
        self._opening: dict[tuple[str, int], asyncio.Lock] = {}
        self._books: dict[tuple[str, int], ResultBook] = {}

    async def of(self, agent: str, partition: int) -> ResultBook:
        """The book of a partition; from here on no result there is missed."""
        place = (agent, partition)
        async with self._opening.setdefault(place, asyncio.Lock()):
            book = self._books.get(place)
            if book is None or book.failed:
                tail = await self._tails.at(self._tails.link.topics.results(agent), partition)
                book = self._books[place] = ResultBook(tail, self._tails)
            return book

    def close(self) -> None:
        """Nobody waits any more."""
        for book in self._books.values():
            book.close()
