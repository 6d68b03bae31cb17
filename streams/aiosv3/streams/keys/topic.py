"""The key store of a mesh: the compacted topic ``keys``, of one partition, so that all see the same order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, WireError
from aiosv3.schemas.keys import KEY_TYPE, KeyKind, KeyRecord
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.errors import AppendUnknown, KeysUnavailable
from aiosv3.streams.log import Log, Outgoing, Record
from aiosv3.streams.tenure import appended

_TYPE: Final = KEY_TYPE.encode()
_LOG: Final = logging.getLogger(__name__)


class TopicKeys:
    """Implements :class:`~aiosv3.streams.keys.store.KeyStore` on any log."""

    def __init__(self, log: Log, codec: Codec, topic: str) -> None:
        self._log = log
        self._codec = codec
        self._topic = topic
        self._position = 0

    async def append(self, records: Sequence[KeyRecord]) -> None:
        """See :class:`~aiosv3.streams.keys.store.KeyStore`.

        A new key is appended once: whoever does not hear of it makes another one, so that no late copy can follow its
        shredding. What ends a key is appended until it is there.
        """
        for record in records:
            await self._append(record)

    async def _append(self, record: KeyRecord) -> None:
        headers = event(_TYPE, f"{record.key_id}/{record.kind.value.lower()}", b"keys", AVRO, b"")
        outgoing = Outgoing(self._topic, 0, record.key_id.encode(), self._codec.encode(record), headers)
        while True:
            try:
                await appended(self._log, outgoing)
                return
            except AppendUnknown as error:
                if record.kind is KeyKind.DATA:
                    raise KeysUnavailable(f"a key may not be on {self._topic}: {error}") from error
                _LOG.warning("%s: key %s again: %s", self._topic, record.key_id, error)
            except AiosError as error:
                raise KeysUnavailable(f"{self._topic} does not take a key: {error}") from error

    async def news(self) -> Sequence[KeyRecord]:
        """See :class:`~aiosv3.streams.keys.store.KeyStore`."""
        found: list[KeyRecord] = []
        try:
            start, end = await self._log.bounds(self._topic, 0)
            position = max(start, self._position)
            if position < end:
                async for batch in self._log.read(self._topic, 0, position, end):
                    found += [key for record in batch if (key := await self._key(record)) is not None]
        except AiosError as error:
            raise KeysUnavailable(f"{self._topic} cannot be read: {error}") from error
        self._position = max(self._position, end)
        return found

    async def _key(self, record: Record) -> KeyRecord | None:
        if record.value is None:
            return None
        try:
            key = await self._codec.read_as(KeyRecord, record.value)
        except WireError as error:
            _LOG.error("%s@%d is no key and is passed over: %s", self._topic, record.offset, error)
            return None
        # Tasks are older or younger than a shredding by the broker's clock, which gave them their times as well.
        return replace(key, updated=record.timestamp) if key.kind is KeyKind.SHREDDED else key
