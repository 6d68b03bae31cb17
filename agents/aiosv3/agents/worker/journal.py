"""A journal partition as its records arrive: decoded and handed on in offset order (protocol rule 17)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from aiosv3.agents.facts import JournalEntry
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import RegistryUnavailable, WireError
from aiosv3.schemas.records import JournalRecord
from aiosv3.schemas.sealing import is_sealed
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.claims import ClaimStore
from aiosv3.streams.deadletters import Graveyard
from aiosv3.streams.errors import ClaimError, ClaimsUnavailable, KeysUnavailable
from aiosv3.streams.keys import UnresolvedKey
from aiosv3.streams.log import Appended, Outgoing, Record

_RETRY_S: Final = 0.5
_LOG: Final = logging.getLogger(__name__)


class _Claimed(Exception):
    """The content of this record is in the claim store: it must be fetched first."""

    def __init__(self, record: JournalRecord, store: ClaimStore) -> None:
        super().__init__(record.claim)
        self.record = record
        self.store = store


class JournalFeed:
    """``deliver(entry)`` gets the records in order; ``is_marker(record)`` is asked first; ``went_on()`` after a wait.

    A record whose schema has to be fetched holds back those behind it (``deliver`` may raise UnresolvedSchema as well:
    it is called again). One that nobody can read is a dead letter. Content in the claim store is fetched in the same
    way: a task is fed the same bytes in the same order each time. A record whose claim the store does not have is
    delivered with it: its task gets stuck, the others go on. ``opened`` opens what is sealed; a key that has to be read
    first holds back the records behind, too.
    """

    def __init__(
        self,
        codec: Codec,
        graveyard: Graveyard,
        is_marker: Callable[[Record], bool],
        deliver: Callable[[JournalEntry], None],
        went_on: Callable[[], None],
        claims: ClaimStore | None = None,
        opened: Callable[[JournalRecord], JournalRecord] = lambda record: record,
    ) -> None:
        self._opened = opened
        self._codec = codec
        self._graveyard = graveyard
        self._is_marker = is_marker
        self._deliver = deliver
        self._went_on = went_on
        self._claims = claims
        self._fetched: tuple[int, JournalRecord] | None = None
        """The record at this offset, whole."""
        self.next = 0
        """The next journal offset to be applied: what a commit may say of the journal (rule 10)."""
        self.bytes = 0
        """How many bytes of values were applied so far."""
        self._arrived: deque[Record] = deque()
        self._resolving: asyncio.Task[None] | None = None
        self._closed = False

    def take(self, record: Record) -> None:
        """The next record of the partition, as read."""
        self._arrived.append(record)
        if self._resolving is None:
            self._apply()

    def acknowledged(self, partition: int, record: Outgoing, ack: Appended) -> Record | None:
        """A record of mine on this partition as it will be read, where all that stands before it has been (rule 18).

        Else None: somebody's record lies between, perhaps a cancel or the marker of another owner.
        """
        if ack.offset != self.next or ack.partition != partition or self._arrived:
            return None
        topic, _, key, value, headers = record
        return Record(topic, partition, ack.offset, ack.timestamp, key, value, headers)

    def close(self) -> None:
        """Nothing is delivered any more."""
        self._closed = True
        self._arrived.clear()
        if self._resolving is not None:
            self._resolving.cancel()

    def _apply(self) -> None:
        while self._arrived and not self._closed:
            record = self._arrived[0]
            if record.offset < self.next:  # it was taken when it was acknowledged
                self._arrived.popleft()
                continue
            try:
                self._apply_one(record)
            except UnresolvedSchema as error:
                self._resolving = asyncio.get_running_loop().create_task(self._resolve(record, error.schema_id))
                return
            except UnresolvedKey as missing:
                self._resolving = asyncio.get_running_loop().create_task(self._await_key(record, missing))
                return
            except _Claimed as claimed:
                fetching = self._fetch(record.offset, claimed.record, claimed.store)
                self._resolving = asyncio.get_running_loop().create_task(fetching)
                return
            self.next = record.offset + 1
            self.bytes += len(record.value or b"")
            if self._arrived:
                self._arrived.popleft()

    def _apply_one(self, record: Record) -> None:
        if self._is_marker(record):
            return
        try:
            decoded = self._decoded(record)
        except WireError as error:
            self._graveyard.bury(record, error, lambda: None)
            return
        self.next = record.offset + 1
        try:
            whole = self._value(record, decoded)
            self._deliver(JournalEntry(record.offset, record.timestamp, self._opened(decoded), whole))
        except (UnresolvedSchema, UnresolvedKey):
            self.next = record.offset  # a commit must not say that it was applied
            raise

    def _decoded(self, record: Record) -> JournalRecord:
        if record.value is None:
            raise WireError("a journal record without a value")
        if self._fetched is not None and self._fetched[0] == record.offset:
            return self._fetched[1]
        decoded = self._codec.decode_as(JournalRecord, record.value)
        if decoded.claim is not None and self._claims is not None:
            raise _Claimed(decoded, self._claims)
        return decoded

    def _value(self, record: Record, decoded: JournalRecord) -> bytes:
        """As it stands on the log, but whole: a carry must not need the claim store to be read again."""
        fetched = self._fetched is not None and self._fetched[1] is decoded and decoded.claim is None
        return self._codec.encode(decoded) if fetched else record.value or b""

    async def _resolve(self, record: Record, schema_id: int) -> None:
        place = f"{record.topic}[{record.partition}]@{record.offset}"
        try:
            await self._codec.store.resolve(schema_id)
        except RegistryUnavailable as error:
            _LOG.warning("%s waits: %s", place, error)
            await asyncio.sleep(_RETRY_S)
        except WireError as error:
            self._arrived.popleft()
            self.next = record.offset + 1
            self._graveyard.bury(record, error, lambda: None)
        self._resume()

    async def _await_key(self, record: Record, missing: UnresolvedKey) -> None:
        try:
            await missing.resolved()
        except KeysUnavailable as error:
            _LOG.warning("%s[%s]@%s waits: %s", record.topic, record.partition, record.offset, error)
            await asyncio.sleep(_RETRY_S)
        self._resume()

    def _resume(self) -> None:
        self._resolving = None
        self._apply()
        self._went_on()

    async def _fetch(self, offset: int, record: JournalRecord, store: ClaimStore) -> None:
        """Content by its own hash is the same whenever it is fetched, so a replay sees what the task saw in life."""
        try:
            raw = await store.get(record.claim or "")
            self._fetched = (offset, replace(record, content=raw if is_sealed(raw) else raw.decode(), claim=None))
        except ClaimsUnavailable as error:
            _LOG.warning("the journal waits at %d: %s", offset, error)
            await asyncio.sleep(_RETRY_S)
        except (ClaimError, UnicodeDecodeError) as error:
            _LOG.error("task %s lacks the answer of step %s: %s", record.task_id, record.step_id, error)
            self._fetched = (offset, record)
        self._resume()
