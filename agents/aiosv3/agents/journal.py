"""A journal partition as its records arrive: decoded and handed on in offset order (protocol rule 17)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from aiosv3.agents.task import JournalEntry
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import RegistryUnavailable, WireError
from aiosv3.schemas.records import JournalRecord
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.deadletters import Graveyard
from aiosv3.streams.log import Record

_RETRY_S: Final = 0.5
_LOG: Final = logging.getLogger(__name__)


class JournalFeed:
    """``deliver(entry)`` gets the records in order; ``is_marker(record)`` is asked first; ``went_on()`` after a wait.

    A record whose schema has to be fetched holds back those behind it. One that nobody can read is a dead letter.
    """

    def __init__(
        self,
        codec: Codec,
        graveyard: Graveyard,
        is_marker: Callable[[Record], bool],
        deliver: Callable[[JournalEntry], None],
        went_on: Callable[[], None],
    ) -> None:
        self._codec = codec
        self._graveyard = graveyard
        self._is_marker = is_marker
        self._deliver = deliver
        self._went_on = went_on
        self.next = 0
        """The next journal offset to be applied: what a commit may say of the journal (rule 10)."""
        self._arrived: deque[Record] = deque()
        self._resolving: asyncio.Task[None] | None = None
        self._closed = False

    def take(self, record: Record) -> None:
        """The next record of the partition, as read."""
        self._arrived.append(record)
        if self._resolving is None:
            self._apply()

    def close(self) -> None:
        """Nothing is delivered any more."""
        self._closed = True
        self._arrived.clear()
        if self._resolving is not None:
            self._resolving.cancel()

    def _apply(self) -> None:
        while self._arrived and not self._closed:
            record = self._arrived[0]
            try:
                self._apply_one(record)
            except UnresolvedSchema as error:
                self._resolving = asyncio.get_running_loop().create_task(self._resolve(record, error.schema_id))
                return
            self.next = record.offset + 1
            if self._arrived:
                self._arrived.popleft()

    def _apply_one(self, record: Record) -> None:
        if self._is_marker(record):
            return
        try:
            entry = JournalEntry(record.offset, record.timestamp, self._decoded(record))
        except WireError as error:
            self._graveyard.bury(record, error, lambda: None)
            return
        self.next = record.offset + 1
        self._deliver(entry)

    def _decoded(self, record: Record) -> JournalRecord:
        if record.value is None:
            raise WireError("a journal record without a value")
        return self._codec.decode_as(JournalRecord, record.value)

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
        self._resolving = None
        self._apply()
        self._went_on()
