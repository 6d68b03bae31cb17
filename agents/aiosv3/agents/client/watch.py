"""One task as it is seen from outside: its journal, questions to people and deltas, merged with its result."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from aiosv3.agents.client.cursors import Positions, cursor_text
from aiosv3.agents.client.ended import Ended
from aiosv3.agents.client.events import Answered, Asked, Decided, Event, Finished, Gap, Progress, Started, Tokens
from aiosv3.agents.client.folding import Folding
from aiosv3.agents.client.link import Link
from aiosv3.agents.client.tails import Tail, Tails, tasks_of
from aiosv3.agents.worker.questions import entry_in
from aiosv3.agents.worker.sealedpeople import opened_question
from aiosv3.schemas.deltas import Delta, DeltaKind
from aiosv3.schemas.errors import AiosError, RegistryUnavailable, WireError
from aiosv3.schemas.people import AnswerVerdict, Question
from aiosv3.schemas.records import JournalKind, JournalRecord
from aiosv3.schemas.sealing import DELTA, SealError
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.deltas import delta_place
from aiosv3.streams.errors import KeysUnavailable
from aiosv3.streams.keys import UnresolvedKey
from aiosv3.streams.log import Record

_LOG: Final = logging.getLogger(__name__)
_LAST_S: Final = 2.0
"""So long the last tokens of a task that has ended may take to be read."""
JOURNAL: Final = "j"
APPROVALS: Final = "a"
DELTAS: Final = "d"


class Place(NamedTuple):
    """A partition that tells of the task."""

    source: str
    topic: str
    partition: int

    @property
    def key(self) -> tuple[str, int]:
        """As cursors name it."""
        return self.source, self.partition


async def places_of(link: Link, task: TaskHandle, streams: Sequence[int] | None) -> list[Place]:
    """Where a task is seen. ``streams``: the partitions of its deltas, None: it may be any."""
    topics = link.topics
    found = [Place(JOURNAL, topics.journal(task.agent), task.partition)]
    asked = range(await link.partitions(topics.approvals()))
    found += [Place(APPROVALS, topics.approvals(), number) for number in asked]
    chosen = range(await link.partitions(topics.deltas())) if streams is None else streams
    return [*found, *(Place(DELTAS, topics.deltas(), number) for number in chosen)]


@dataclass(frozen=True, slots=True)
class Heard:
    """A record and where it was heard."""

    place: Place
    record: Record


class _Listener:
    """At one place. While the past is read it keeps what comes."""

    def __init__(self, place: Place, give: Callable[[Heard], None]) -> None:
        self.place = place
        self._give = give
        self.held: list[Record] | None = None

    def hear(self, record: Record) -> None:
        if self.held is None:
            self._give(Heard(self.place, record))
        else:
            self.held.append(record)


class Ear:
    """Listens at the places of one task from :meth:`open` on; what came before is read where a start is given."""

    def __init__(self, tails: Tails, task: TaskHandle, places: Sequence[Place]) -> None:
        self._tails = tails
        self._task = task.task_id.encode()
        self._places = places
        self._open: dict[Place, Tail] = {}
        self._leaves: list[Callable[[], None]] = []
        self._past: asyncio.Task[None] | None = None
        self.heard: asyncio.Queue[Heard | AiosError] = asyncio.Queue()
        self.positions: Positions = {}

    async def open(self, starts: Positions | None = None, since: int | None = None) -> None:
        """From now on; or from ``starts``, and where they say nothing from broker time ``since`` (None: all)."""
        tails = await asyncio.gather(*(self._tails.at(place.topic, place.partition) for place in self._places))
        listeners: list[_Listener] = []
        for place, tail in zip(self._places, tails, strict=True):
            listener = _Listener(place, self.heard.put_nowait)
            listener.held = None if starts is None else []
            self._leaves.append(tail.listen(self._task, listener.hear))
            self._open[place] = tail
            self.positions[place.key] = tail.position
            listeners.append(listener)
        if starts is not None:
            begins = await asyncio.gather(*(self._begin(place, starts, since) for place in self._places))
            ends = dict(self.positions)
            self.positions = {key: min(end, begin) for (key, end), begin in zip(ends.items(), begins, strict=True)}
            self._past = asyncio.create_task(self._read_past(listeners, begins, ends))

    async def _begin(self, place: Place, starts: Positions, since: int | None) -> int:
        known = starts.get(place.key)
        if known is None:
            log = self._tails.link.log
            known = 0 if since is None else await log.offset_at(place.topic, place.partition, since)
        return known

    async def _read_past(self, listeners: list[_Listener], begins: list[int], ends: Positions) -> None:
        try:
            await self._tell_past(listeners, begins, ends)
        except AiosError as error:
            self.heard.put_nowait(error)

    async def _tell_past(self, listeners: list[_Listener], begins: list[int], ends: Positions) -> None:
        """All places first, then by their time: a question comes after the start of its task."""
        found: list[Heard] = []

        async def read(listener: _Listener, begin: int) -> None:
            tail = self._open[listener.place]
            async for record in tail.past(begin, ends[listener.place.key]):
                if self._task in tasks_of(record):
                    found.append(Heard(listener.place, record))

        await asyncio.gather(*(read(listener, begin) for listener, begin in zip(listeners, begins, strict=True)))
        for listener, begin in zip(listeners, begins, strict=True):
            held, listener.held = listener.held or [], None
            found += [Heard(listener.place, record) for record in held if record.offset >= begin]
        for heard in sorted(found, key=lambda heard: heard.record.timestamp):
            self.heard.put_nowait(heard)

    async def rest(self) -> None:
        """Returns once everything was heard that is on the log now. For what is late it does not wait for long."""
        if self._past is not None:
            await self._past

        async def caught_up(tail: Tail) -> None:
            await tail.reached(await tail.end())

        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await asyncio.gather(*map(caught_up, self._open.values()))

    def close(self) -> None:
        """Hears no more."""
        for leave in self._leaves:
            leave()
        if self._past is not None:
            self._past.cancel()
            self._past.add_done_callback(ignored)


def ignored(task: asyncio.Task[Any]) -> None:
    """Nobody asks any more how it ended."""
    if not task.cancelled():
        task.exception()


class Seeing:
    """Turns what is heard of one task into events, and knows the cursor behind each."""

    def __init__(self, link: Link, task: TaskHandle, positions: Positions, folding: Folding) -> None:
        self._link = link
        self._task = task
        self.positions = positions
        self._folding = folding

    @property
    def cursor(self) -> str:
        """Behind what was taken last."""
        return cursor_text(self.positions)

    async def take(self, heard: Heard | AiosError) -> list[Event]:
        """What a record says; one that cannot be read is passed over. Raises what stopped the reading."""
        if isinstance(heard, AiosError):
            raise heard
        self.positions[heard.place.key] = heard.record.offset + 1
        value = heard.record.value
        if value is None or (heard.place.source == JOURNAL and heard.record.key != self._task.task_id.encode()):
            return []
        while True:
            try:
                return list(self._seen(heard.place.source, value))
            except UnresolvedSchema as error:
                try:
                    await self._link.store.resolve(error.schema_id)
                except (WireError, RegistryUnavailable) as unknown:
                    return self._passed_over(heard.record, unknown)
            except UnresolvedKey as missing:
                try:
                    await missing.resolved()
                except KeysUnavailable as away:
                    return self._passed_over(heard.record, away)
            except WireError as error:
                return self._passed_over(heard.record, error)

    def _passed_over(self, record: Record, why: Exception) -> list[Event]:
        _LOG.info("%s[%d]@%d is passed over: %s", record.topic, record.partition, record.offset, why)
        return []

    def _seen(self, source: str, value: bytes) -> Iterator[Event]:
        if source == JOURNAL:
            record = self._link.codec.decode_as(JournalRecord, value)
            if record.kind is JournalKind.STARTED:
                yield Started(record.task_id, self.cursor, record.code_version)
        elif source == APPROVALS:
            yield from self._of_people(value)
        else:
            yield from self._of_delta(self._opened(self._link.codec.decode_as(Delta, value)))

    def _opened(self, delta: Delta) -> Delta:
        """Its text, where this client has the key; else it stays sealed, and nothing of it is shown."""
        ring = self._link.ring
        if ring is None or not isinstance(delta.content, bytes):
            return delta
        try:
            text = ring.open(DELTA, delta_place(delta), delta.content)
        except SealError:
            return delta
        return replace(delta, content=text.decode("utf-8", "surrogatepass"))

    def _of_people(self, value: bytes) -> Iterator[Event]:
        entry = entry_in(self._link.codec, value)
        if isinstance(entry, Question):
            with suppress(SealError):  # it stays sealed, and its text is empty
                entry = opened_question(self._link.ring, entry)
            yield _asked(entry, self.cursor)
        elif isinstance(entry, AnswerVerdict) and entry.accepted:
            yield Decided(entry.request_id.rpartition("/")[0], self.cursor, entry.request_id, entry.who)

    def _of_delta(self, delta: Delta) -> Iterator[Event]:
        shown = self._folding.take(delta)
        if shown is None:
            return
        task, step, cursor = delta.task_id, delta.step_id, self.cursor
        text = delta.content if isinstance(delta.content, str) else ""
        if delta.kind is DeltaKind.PROGRESS:
            yield Progress(task, cursor, step, text, delta.fraction)
            return
        if shown.missing:
            yield Gap(task, cursor, step, shown.missing)
        if delta.kind is DeltaKind.END:
            yield Answered(task, cursor, step)
        elif text or shown.erases:
            yield Tokens(task, cursor, step, text, delta.attempt, delta.sequence, shown.erases)


def _asked(question: Question, cursor: str) -> Asked:
    schema = None if question.output_schema is None else json.loads(question.output_schema)
    ends = question.expires_at
    return Asked(
        task=question.task_id,
        cursor=cursor,
        question=question.request_id,
        kind=question.kind.value,
        text=question.content if isinstance(question.content, str) else "",
        role=question.role,
        schema=schema,
        expires_at=None if ends is None else datetime.fromtimestamp(ends / 1000, UTC),
    )


async def watched(ear: Ear, seeing: Seeing, ended: asyncio.Task[Ended[Any]]) -> AsyncIterator[Event]:
    """The events of a task, the last one :class:`Finished`. Raises what reading its result raises."""
    hearing: asyncio.Task[Heard | AiosError] | None = None
    try:
        while not ended.done():
            hearing = hearing or asyncio.create_task(ear.heard.get())
            await asyncio.wait([hearing, ended], return_when=asyncio.FIRST_COMPLETED)
            if hearing.done():
                heard, hearing = hearing.result(), None
                for event in await seeing.take(heard):
                    yield event
        end = ended.result()
        await ear.rest()
        if hearing is not None and hearing.done():
            for event in await seeing.take(hearing.result()):
                yield event
        while not ear.heard.empty():
            for event in await seeing.take(ear.heard.get_nowait()):
                yield event
        yield Finished(end.task.task_id, seeing.cursor, end.outcome, end.output, end.error)
    finally:
        ended.cancel()
        ended.add_done_callback(ignored)
        if hearing is not None:
            hearing.cancel()
