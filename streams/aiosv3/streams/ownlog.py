"""*Answer on your own log first; its tail is your memory* (protocol rules 1, 3, 4, 5 and 13)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import CE_ID, CE_SOURCE
from aiosv3.streams.errors import AppendFailed, AppendUnknown, DataLost, Fenced
from aiosv3.streams.log import Appended, Log, Outgoing, Record, Transactions

GRACE_MS: Final = 60_000
"""How far before a request's first-sent time its answer is looked for: clocks of brokers and the way of a record."""
_MEMORY_LIMIT: Final = 200_000
_RETRY_S: Final = 0.5
_LOG: Final = logging.getLogger(__name__)


class Entry(NamedTuple):
    """The first record of an id in the own log: where it is, which input it answers, its broker time (ms)."""

    offset: int
    input_offset: int
    timestamp: int


class Learned(NamedTuple):
    """What a processor reads out of one record of its own log; ``id`` None: not an answer (a marker, say)."""

    id: str | None
    input_offset: int


def provenance(record: Record) -> bytes:
    """``ce_source`` of what a processor makes out of an input: ``topic/partition/offset``."""
    return f"{record.topic}/{record.partition}/{record.offset}".encode()


def learn_from_headers(record: Record) -> Learned:
    """Reads id and input offset of an own-log record without decoding its value (``ce_id``, ``ce_source``)."""
    answer_id, source = record.header(CE_ID), record.header(CE_SOURCE)
    if answer_id is None or source is None:
        return Learned(None, -1)
    _, _, offset = source.rpartition(b"/")
    return Learned(answer_id.decode("utf-8", "replace"), int(offset) if offset.isdigit() else -1)


Settled: TypeAlias = Callable[[Entry | AppendFailed, bool], object]
"""``(first record of the id or failure, it is the one just appended)``."""


class OwnLog:
    """One partition of a processor's own log: the first record of each id, from ``floor`` on.

    Holds no record bytes: a duplicate reads the record again. One instance lives for one ownership of the partition;
    after :meth:`close` no callback is made any more.
    """

    def __init__(
        self,
        log: Log,
        topic: str,
        partition: int,
        learn: Callable[[Record], Learned],
        pin: Callable[[int, int], None],
        broken: Callable[[AiosError], None],
        contested: Callable[[], None] = lambda: None,
        kept_since: Callable[[], float] = lambda: float("inf"),
    ) -> None:
        self._log = log
        self.topic = topic
        self.partition = partition
        self._learn = learn
        self._pin = pin
        self._broken = broken
        self._contested = contested
        self._kept_since = kept_since
        """Answers since then (ms) are still there, however few are: retention takes only what is older (rule 11)."""
        self._writer: Transactions | None = None
        self.memory: dict[str, Entry] = {}
        self.floor = 0
        self._floor_time: float = float("inf")
        self.known = 0
        """Everything below this position has been read or written by this owner: there are no holes (rule 3)."""
        self._waiting: deque[tuple[str, Outgoing, int, Settled, Appended | AppendFailed]] = deque()
        self._catching_up: asyncio.Task[None] | None = None
        self._closed = False

    async def fence(self) -> None:
        """Answers go in transactions from here on. What an earlier owner has not committed by now never will be."""
        if self._writer is not None:
            self._writer.close()
        self._writer = await self._log.transactions(self.topic, self.partition)

    async def restore(self, start: int, end: int) -> None:
        """Reads ``[start, end)``; ``known`` is then ``end``."""
        self.floor = self.known = start
        await self._read_to(end)
        self.known = max(end, start)

    async def _read_to(self, end: int) -> None:
        if end <= self.known:
            return
        async for batch in self._log.read(self.topic, self.partition, self.known, end):
            if self._closed:
                return
            self._remember(batch, pinned=True)
        self.known = end

    def _remember(self, batch: Sequence[Record], *, pinned: bool) -> None:
        for record in batch:
            learned = self._learn(record)
            if learned.id is None:
                continue
            known = self.memory.get(learned.id)
            if known is None or known.offset > record.offset:
                self.memory[learned.id] = Entry(record.offset, learned.input_offset, record.timestamp)
            if pinned:
                self._pin(learned.input_offset, record.offset)

    def covers(self, first_sent: int) -> bool:
        """True if memory reaches back to an answer to something sent first at this time (ms): :meth:`reach` is free."""
        return self.floor == 0 or first_sent - GRACE_MS >= self._floor_time

    async def reach(self, first_sent: int) -> bool:
        """Moves the floor down for a request first sent at this time (rule 13).

        False: the own log no longer reaches back that far, so whether it was answered cannot be known.
        """
        if self.covers(first_sent):
            return True
        wanted = first_sent - GRACE_MS
        start = (await self._log.bounds(self.topic, self.partition)).start
        offset = await self._log.offset_at(self.topic, self.partition, wanted)
        await self.lower(offset)
        if whole := start == 0 or offset > start or wanted >= self._kept_since():
            self._floor_time = min(self._floor_time, wanted)
        return whole

    async def lower(self, offset: int) -> None:
        """Moves the floor down to ``offset`` by reading what lies between."""
        while offset < self.floor and not self._closed:
            top = self.floor
            async for batch in self._log.read(self.topic, self.partition, offset, top):
                self._remember(batch, pinned=False)
            if self.floor == top:  # else it was trimmed meanwhile, and what was forgotten is read again
                self.floor = offset

    async def record(self, entry: Entry) -> Record:
        """The record of an entry, read again."""
        async for batch in self._log.read(self.topic, self.partition, entry.offset, entry.offset + 1):
            return batch[0]
        raise AppendUnknown(f"{self.topic}[{self.partition}]@{entry.offset} could not be read back")

    def append(self, answer_id: str, record: Outgoing, input_offset: int, settled: Settled) -> None:
        """Appends an answer. ``settled`` gets the entry to act on: the *first* of this id, whoever wrote it.

        After a timeout the outcome is looked up and the append repeated if it is not there; other failures are handed
        on. Nothing is called after :meth:`close`.
        """
        if not self._closed:
            done = partial(self._acked, answer_id, record, input_offset, settled)
            (self._writer or self._log).append(record, done)

    def _acked(
        self,
        answer_id: str,
        record: Outgoing,
        input_offset: int,
        settled: Settled,
        ack: Appended | AppendFailed,
    ) -> None:
        if self._closed:
            return
        if isinstance(ack, Fenced):
            self._contested()
            return
        if self._catching_up is None and isinstance(ack, Appended) and self._follows(ack.offset):
            self.known = ack.offset + 1
            entry = Entry(ack.offset, input_offset, ack.timestamp)
            first = self.memory.setdefault(answer_id, entry)
            settled(first, first is entry)
            return
        self._waiting.append((answer_id, record, input_offset, settled, ack))
        if self._catching_up is None:
            self._catching_up = asyncio.get_running_loop().create_task(self._catch_up())

    def _follows(self, offset: int) -> bool:
        """Nobody else's record lies between: nothing does, or the end of my last transaction."""
        return offset == self.known or (self._writer is not None and offset == self.known + 1)

    def look(self) -> None:
        """Reads what others may have written behind all that I know: nothing of mine would lead there."""
        if self._catching_up is None and not self._closed:
            self._catching_up = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        try:
            await self._read_to((await self._log.bounds(self.topic, self.partition)).end)
        except DataLost as error:
            self._broken(error)
            return
        except AiosError as error:
            _LOG.info("%s[%s]: no look at the own log now: %s", self.topic, self.partition, error)
        await self._catch_up()

    async def _catch_up(self) -> None:
        """Somebody else's records lie between, or an outcome is unknown: read before acting (rules 3 and 5)."""
        while self._waiting and not self._closed:
            answer_id, record, input_offset, settled, ack = self._waiting[0]
            try:
                await self._read_up_to(ack)
            except DataLost as error:
                self._broken(error)
                return
            except AiosError as error:
                _LOG.warning("%s[%s]: reading the own log again in a moment: %s", self.topic, self.partition, error)
                await asyncio.sleep(_RETRY_S)
                continue
            if self._is_closed():
                return
            self._waiting.popleft()
            if isinstance(ack, Appended):
                self.memory.setdefault(answer_id, Entry(ack.offset, input_offset, ack.timestamp))
                self.known = max(self.known, ack.offset + 1)
            if (first := self.memory.get(answer_id)) is not None:
                settled(first, isinstance(ack, Appended) and first.offset == ack.offset)
            elif isinstance(ack, AppendUnknown):
                self.append(answer_id, record, input_offset, settled)
            elif not isinstance(ack, Appended):
                settled(ack, False)
        self._catching_up = None

    async def _read_up_to(self, ack: Appended | AppendFailed) -> None:
        if isinstance(ack, Appended):
            await self._read_to(ack.offset)
        elif isinstance(ack, AppendUnknown):
            await self._read_to((await self._log.bounds(self.topic, self.partition)).end)

    def trim(self) -> None:
        """Forgets the oldest half when memory is over its limit; the floor rises, and :meth:`reach` brings it back."""
        if len(self.memory) <= _MEMORY_LIMIT:
            return
        ordered = sorted(self.memory.items(), key=lambda item: item[1].offset)
        cut = len(ordered) // 2
        self.memory = dict(ordered[cut:])
        self.floor = ordered[cut][1].offset
        self._floor_time = ordered[cut][1].timestamp + 1

    def _is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """No more callbacks; what is on its way may still land."""
        self._closed = True
        if self._writer is not None:
            self._writer.close()
        if self._catching_up is not None:
            self._catching_up.cancel()
