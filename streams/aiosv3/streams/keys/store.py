"""The port of a key store: a log of key records that several processes append to and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aiosv3.schemas.keys import KeyRecord


class KeyStore(Protocol):
    """Neither method blocks the loop. Both raise :class:`~aiosv3.streams.errors.KeysUnavailable`: try again.

    All readers see the same order. A SHREDDED or RETIRED record takes the place of that with the same id: what it held
    is destroyed. ``updated`` of a SHREDDED record may be told by the clock of the store, the same to all.
    """

    async def append(self, records: Sequence[KeyRecord]) -> None:
        """Durable, and seen by every later :meth:`news`, when this returns."""
        ...

    async def news(self) -> Sequence[KeyRecord]:
        """What was appended since the last call, by anybody, in order; from the beginning at the first call."""
        ...
