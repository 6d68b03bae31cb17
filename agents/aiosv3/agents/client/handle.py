"""A task that was started, here or elsewhere."""

from __future__ import annotations

import asyncio
import uuid
import weakref
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from aiosv3.agents.client.cursors import cursor_positions
from aiosv3.agents.client.ended import Ended, Ends
from aiosv3.agents.client.errors import NotFinished
from aiosv3.agents.client.events import Event, Finished
from aiosv3.agents.client.folding import Folding
from aiosv3.agents.client.link import Link
from aiosv3.agents.client.results import Books
from aiosv3.agents.client.sending import SOURCE, cancel_record, told_record
from aiosv3.agents.client.tails import Tails
from aiosv3.agents.client.watch import DELTAS, Ear, Seeing, places_of, watched
from aiosv3.schemas.records import JournalRecord
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.answers import journal_outgoing
from aiosv3.streams.log import Record
from aiosv3.streams.tenure import appended

Out = TypeVar("Out")
_EARLIER_MS: Final = 60_000
"""Clocks of brokers differ; what is read too much is not of this task."""


class Ground:
    """What all handles of one client share."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.tails = Tails(link)
        self.books = Books(self.tails)

    async def close(self) -> None:
        """Ends all reading."""
        self.books.close()
        await self.tails.close()


class Past:
    """When a task can have begun. ``since``: broker time (ms), None: nobody knows.

    ``fresh``: its id is new, and results were read before it was sent. ``reopened``: somebody asks about a task that
    is likely to have ended.
    """

    def __init__(self, since: int | None = None, *, fresh: bool = False, reopened: bool = False) -> None:
        self.since = since
        self.fresh = fresh
        self.reopened = reopened


class Handle(Generic[Out]):
    """Made by :class:`~aiosv3.agents.client.Client`. Its text, ``agent:partition:id``, reopens it anywhere."""

    def __init__(
        self, ground: Ground, place: TaskHandle, ends: Ends[Out], past: Past, streams: Sequence[int] | None
    ) -> None:
        self.place = place
        self._ground = ground
        self._ends = ends
        self._past = past
        self._streams = streams
        self._ear: Ear | None = None
        self._folding: Folding | None = None
        self._cursor: str | None = None

    def __str__(self) -> str:
        return str(self.place)

    def __repr__(self) -> str:
        return f"<Handle {self.place}>"

    @property
    def id(self) -> str:
        """Task id."""
        return self.place.task_id

    # -- how it ends ----------------------------------------------------------------------------------------------

    async def result(self, *, timeout: float | None = None) -> Out:
        """The output. Raises the error that ended the task: AgentFailed, BudgetExceeded, …; TreeCancelled if it was
        cancelled; NotFinished after ``timeout`` seconds, and it goes on. With 0 it says what the log says now.
        """
        return (await self.ended(timeout=timeout)).value()

    async def ended(self, *, timeout: float | None = None) -> Ended[Out]:
        """How it ended, with cost and times; a task that failed is no error here. Raises NotFinished."""
        await self._ground.link.check(self.place.agent, self.place.partition)
        await self._ends.prepare()
        if timeout is None:
            return await self._ends.read(self.place, await self._wait())
        record: Record | None = None
        if timeout <= 0:
            book = await self._ground.books.of(self.place.agent, self.place.partition)
            record = await book.find(self.place.task_id, self._past.since)
        else:
            try:
                async with asyncio.timeout(timeout):
                    record = await self._wait()
            except TimeoutError:
                pass
        if record is None:
            words = "has no result yet" if timeout <= 0 else f"has no result after {timeout:g} s"
            raise NotFinished(f"{self.place} {words}: it goes on; ask again, or cancel it")
        return await self._ends.read(self.place, record)

    async def _wait(self) -> Record:
        book = await self._ground.books.of(self.place.agent, self.place.partition)
        past = self._past
        return await book.wait(self.place.task_id, past.since, fresh=past.fresh, hurry=past.reopened)

    # -- what is said to it ---------------------------------------------------------------------------------------

    async def cancel(self) -> None:
        """Asks for its end; returns when the log has it. Nothing happens where it has ended."""
        await self._tell(cancel_record(self.place.task_id))

    async def send(self, name: str, content: Any, *, id: str | None = None) -> str:  # noqa: A002
        """A message, for ``ctx.receive(name, …)``; the same id twice is one message. Returns its id.

        It waits until it is asked for, and may even come before the task.
        """
        chosen = id or str(uuid.uuid4())
        await self._tell(told_record(self.place.task_id, name, content, chosen))
        return chosen

    async def _tell(self, record: JournalRecord) -> None:
        link, place = self._ground.link, self.place
        await link.check(place.agent, place.partition)
        topic = link.topics.journal(place.agent)
        await appended(link.log, journal_outgoing(link.codec, topic, place.partition, record, SOURCE.encode()))

    # -- what can be seen of it -----------------------------------------------------------------------------------

    async def events(self, *, after: str | None = None) -> AsyncGenerator[Event, None]:
        """What happens to the task and those below it, as it happens; the last one is Finished.

        ``after``: the ``cursor`` of an event, from whatever process. Without it: from the start, or on the same handle
        behind the last one that it gave. Tokens and progress only where it was started with ``stream=True``.
        """
        link = self._ground.link
        await link.check(self.place.agent, self.place.partition)
        ear, folding = await self._hearing(after)
        seeing = Seeing(link, self.place, ear.positions, folding)
        ended = asyncio.create_task(self.ended())
        try:
            async for event in watched(ear, seeing, ended):
                if not isinstance(event, Finished):
                    self._cursor, self._folding = event.cursor, folding
                yield event
        finally:
            ear.close()

    async def _hearing(self, after: str | None) -> tuple[Ear, Folding]:
        """The ear that listens since the task was sent; else one that reads what has been."""
        if self._ear is not None and after is None:
            ear, self._ear = self._ear, None
            return ear, Folding()
        starts = cursor_positions(after if after is not None else self._cursor or "")
        streams = tuple(number for source, number in starts if source == DELTAS) or self._streams
        ear = Ear(self._ground.tails, self.place, await places_of(self._ground.link, self.place, streams))
        since = self._past.since
        await ear.open(starts, None if since is None else since - _EARLIER_MS)
        known = self._folding if after is None else None
        return ear, known or Folding(from_start=not starts)

    def began(self, timestamp: int) -> None:
        """Broker time (ms) of its event: nothing of it is older."""
        self._past.since = timestamp

    async def listen(self) -> None:
        """Hears from now on what :meth:`events` will give: called before the task is sent."""
        ear = Ear(self._ground.tails, self.place, await places_of(self._ground.link, self.place, self._streams))
        await ear.open()
        self._ear = ear
        weakref.finalize(self, _close_soon, asyncio.get_running_loop(), ear)


def _close_soon(loop: asyncio.AbstractEventLoop, ear: Ear) -> None:
    """From whichever thread collects garbage."""
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(ear.close)
