"""``memory.state``: the newest version of each memory, kept by whoever owns the partition of the memory log."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from aiosv3.memory.applying import Applier
from aiosv3.memory.feed import Feed
from aiosv3.memory.fold import SUBJECT, Effect, Keep
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, WireError
from aiosv3.schemas.memory import MemoryAction, MemoryEvent, MemoryState
from aiosv3.schemas.records import Outcome
from aiosv3.streams.answers import AVRO
from aiosv3.streams.answers import event as headers_of
from aiosv3.streams.errors import AppendFailed, AppendUnknown
from aiosv3.streams.log import Appended, Log, Outgoing, Record
from aiosv3.streams.ownlog import provenance
from aiosv3.streams.tenure import appended

STATE_TYPE: Final = b"aiosv3.memory-state"
_FORGOTTEN: Final = "forgotten/"
_QUARANTINED: Final = "quarantined/"
_TO_QUARANTINE: Final = frozenset({MemoryAction.QUARANTINE, MemoryAction.RELEASE})
_RETRY_S: Final = 0.5
_LOOK_S: Final = 5.0
_BATCH: Final = 500
_NEAR: Final = 100
"""Events that are read along rather than asked for apart."""
_LOG: Final = logging.getLogger(__name__)


class _Wanted(NamedTuple):
    """What the topic should say under a key; ``state`` None: nothing."""

    key: str
    source: Record
    state: MemoryState | None


class Keeper:
    """One partition, from the restore of its owner's tenure to its end. Everything is on one event loop.

    It compares the topic with the fold when it begins, and puts right what differs; then it writes what each event
    changes. Somebody else's records in between are those of a worker that lost the partition, late and perhaps older
    than what they cover: it compares again. Compaction leaves the newer ones for a day.
    """

    def __init__(self, log: Log, topic: str, partition: int, feed: Feed, codec: Codec) -> None:
        self._log = log
        self._topic = topic
        self._partition = partition
        self._feed = feed
        self._codec = codec
        self._due: deque[_Wanted] = deque()
        self._wake = asyncio.Event()
        self._working: asyncio.Task[None] | None = None
        self._end = 0
        """The offset of what is written next, as long as nobody else writes."""
        self._alone = True

    def begin(self) -> None:
        """Starts the work, beside whatever the owner does."""
        self._working = asyncio.get_running_loop().create_task(self._work())

    def stop(self) -> None:
        """Ends it at once; what is on its way may still land."""
        if self._working is not None:
            self._working.cancel()
            self._feed.applier.heard.pop(self._partition, None)

    async def _work(self) -> None:
        await self._feed.ready.wait()
        while True:
            try:
                await self._reconcile()
                while self._alone:
                    await self._write_on(_LOOK_S)
                    end = (await self._log.bounds(self._topic, self._partition)).end
                    if end != self._end:
                        break
            except AiosError as error:
                _LOG.warning("%s[%d] is looked at again in a moment: %s", self._topic, self._partition, error)
                await asyncio.sleep(_RETRY_S)

    async def _write_on(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self._alone and loop.time() < deadline:
            if self._due:
                batch = [self._due.popleft() for _ in range(min(len(self._due), _BATCH))]
                await self._write(batch)
                continue
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()

    # -- what each event changes ----------------------------------------------------------------------------------

    def _heard(self, record: Record, event: MemoryEvent, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Keep):
                self._due.append(_Wanted(event.memory_id or "", record, _state(record, event)))
            else:
                self._due.append(_Wanted(effect.id, record, None))
        if event.action is MemoryAction.FORGET and event.outcome is Outcome.OK:
            self._due.append(_Wanted(_forgotten_key(event), record, _state(record, event)))
        if self._counts(record, event):
            self._due.append(_Wanted(_QUARANTINED + (event.memory_id or ""), record, _state(record, event)))
        self._wake.set()

    def _counts(self, record: Record, event: MemoryEvent) -> bool:
        """Of a quarantine and its end the later request counts: an older one that lands behind it changes nothing."""
        if event.action not in _TO_QUARANTINE or event.outcome is not Outcome.OK:
            return False
        known = self._feed.fold(self._partition).quarantines.get((event.tenant, event.memory_id or ""))
        return known is None or known.offset == record.offset

    async def _write(self, batch: Sequence[_Wanted]) -> None:
        """All at once, in order. What does not get there is found missing when the topic is compared again."""
        acks = await asyncio.gather(
            *(appended(self._log, self._record(wanted)) for wanted in batch), return_exceptions=True
        )
        for wanted, ack in zip(batch, acks, strict=True):
            if isinstance(ack, Appended):
                self._alone = self._alone and ack.offset == self._end
                self._end = ack.offset + 1
            elif isinstance(ack, AppendFailed) and not isinstance(ack, AppendUnknown):
                _LOG.error("%s[%d] does not take %s: %s", self._topic, self._partition, wanted.key, ack)
            elif isinstance(ack, AppendUnknown):
                self._alone = False  # it may have landed
            else:
                raise ack

    def _record(self, wanted: _Wanted) -> Outgoing:
        headers = headers_of(STATE_TYPE, wanted.key, provenance(wanted.source), AVRO, b"")
        value = None if wanted.state is None else self._codec.encode(wanted.state)
        return Outgoing(self._topic, self._partition, wanted.key.encode(), value, headers)

    # -- what the topic says, and what it should ------------------------------------------------------------------

    async def _reconcile(self) -> None:
        self._end = (await self._log.bounds(self._topic, self._partition)).end
        self._alone = True
        told = last_states(self._log, self._topic, self._partition, self._codec, self._end)
        found = {key: state async for key, state in told}
        fold = self._feed.fold(self._partition)
        self._due.clear()
        self._feed.applier.heard[self._partition] = self._heard  # from here on nothing is missed
        missing = [
            (key[1], known.version)
            for key, known in fold.memories.items()
            if not _says(found.get(key[1]), known.version)
        ]
        missing += [
            (_FORGOTTEN + key[1], end.offset)
            for key, end in fold.forgotten.items()
            if not _says(found.get(_FORGOTTEN + key[1]), end.offset)
        ]
        missing += [
            (_QUARANTINED + key[1], one.offset)
            for key, one in fold.quarantines.items()
            if not _says(found.get(_QUARANTINED + key[1]), one.offset)
        ]
        held = {key[1] for key in fold.memories} | {_FORGOTTEN + key[1] for key in fold.forgotten}
        held |= {_QUARANTINED + key[1] for key in fold.quarantines}
        for key in sorted(found.keys() - held):
            if (state := found[key]) is not None:
                await self._write([_Wanted(key, _place(self._feed.topic, state), None)])
        keys: dict[int, list[str]] = {}
        for key, offset in missing:
            keys.setdefault(offset, []).append(key)
        for start, end in _stretches(sorted(keys)):
            await self._restate(keys, start, end)

    async def _restate(self, keys: Mapping[int, Sequence[str]], start: int, end: int) -> None:
        """States out of the events in ``[start, end)``; ``keys``: what each event is the newest of."""
        async for batch in self._log.read(self._feed.topic, self._partition, start, end):
            wanted = []
            for record in batch:
                if record.offset in keys:
                    state = _state(record, self._codec.decode_as(MemoryEvent, record.value or b""))
                    wanted += [_Wanted(key, record, state) for key in keys[record.offset]]
            await self._write(wanted)


def _stretches(offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges that have all of these offsets: one for those near each other, as a read of its own costs more."""
    start = end = -1
    for offset in offsets:
        if start >= 0 and offset - end < _NEAR:
            end = offset
            continue
        if start >= 0:
            yield start, end + 1
        start = end = offset
    if start >= 0:
        yield start, end + 1


def _says(state: MemoryState | None, offset: int) -> bool:
    return state is not None and state.offset == offset


def _state(record: Record, event: MemoryEvent) -> MemoryState:
    return MemoryState(record.partition, record.offset, record.timestamp, event)


def _place(topic: str, state: MemoryState) -> Record:
    return Record(topic, state.partition, state.offset, state.recorded_at, None, None, [])


def _forgotten_key(event: MemoryEvent) -> str:
    return _FORGOTTEN + (event.memory_id or SUBJECT + (event.subject or ""))


async def last_states(
    log: Log, topic: str, partition: int, codec: Codec, end: int | None = None
) -> AsyncIterator[tuple[str, MemoryState | None]]:
    """The states of a partition as they lie on the log, up to ``end``, oldest first: of each key the last one counts.

    None for a tombstone. What nobody can read is passed over.
    """
    bounds = await log.bounds(topic, partition)
    async for batch in log.read(topic, partition, bounds.start, bounds.end if end is None else end):
        for record in batch:
            key = (record.key or b"").decode("utf-8", "replace")
            if record.value is None:
                yield key, None
                continue
            try:
                yield key, await codec.read_as(MemoryState, record.value)
            except WireError as error:
                _LOG.error("%s[%d]@%d is no state: %s", topic, partition, record.offset, error)


async def load(log: Log, topic: str, partition: int, applier: Applier, events: str) -> None:
    """A partition as its states tell it: for a memory log that no longer has its beginning.

    What the log still has is then read as well; a fold takes it in either order.
    """
    newest: dict[str, MemoryState] = {}
    async for key, state in last_states(log, topic, partition, applier.codec):
        if state is None:
            newest.pop(key, None)
        else:
            newest[key] = state
    for state in sorted(newest.values(), key=lambda one: one.offset):
        await applier.apply([record_of(events, state, applier.codec)])


def record_of(topic: str, state: MemoryState, codec: Codec) -> Record:
    """The event of a state, as the memory log had it."""
    value = codec.encode(state.event)
    return Record(topic, state.partition, state.offset, state.recorded_at, None, value, [])
