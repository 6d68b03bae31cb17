"""What a memory says, in the log: a text and its vector, plain, or sealed together."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.memory import SEALED_EVENT, SEALED_QUERY
from aiosv3.schemas.sealing import NoKey, key_id_of, seal
from aiosv3.streams.keys import Owner
from aiosv3.streams.keys.ring import settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aiosv3.memory.views.port import Vector
    from aiosv3.schemas.memory import MemoryEvent, MemoryQuery
    from aiosv3.schemas.sealing import DataKey, KeyedHashes
    from aiosv3.streams.keys import KeyRing

_LENGTH: Final = struct.Struct("<I")


class Said(NamedTuple):
    """The text of a memory and what was computed from it."""

    text: str
    vector: Vector | None


class Written(NamedTuple):
    """The fields ``content``, ``content_key_id`` and ``vector`` of an event."""

    content: str | bytes
    content_key_id: str | None
    vector: bytes | None


class Contents(Protocol):
    """How contents are written to the log and read from it. One for each process; it holds the keys, if there are any.

    Raises MalformedValue for what is no content, SealError for what cannot be opened (KeyShredded: for good).
    """

    async def text(self, query: MemoryQuery) -> str:
        """The text of a request."""
        ...

    async def key(self, query: MemoryQuery) -> DataKey | None:
        """What a request is sealed with, and the answer to it will be; None: it is plain."""
        ...

    async def write(self, said: Said, tenant: str, clearance: Clearance, subject: str | None, request: str) -> Written:
        """As the event that answers ``request`` holds it."""
        ...

    async def read(self, event: MemoryEvent) -> Said:
        """What an event says."""
        ...

    async def shred(self, tenant: str, subject: str) -> Sequence[str]:
        """Destroys the keys of a subject, for good; returns their ids. Twice is as good as once."""
        ...


class PlainContents:
    """Without keys: contents stand in the log as they are, and what is sealed cannot be read."""

    async def text(self, query: MemoryQuery) -> str:
        """See :meth:`Contents.text`."""
        return _plain(query.content)

    async def key(self, query: MemoryQuery) -> DataKey | None:
        """See :meth:`Contents.key`."""
        return None

    async def write(self, said: Said, tenant: str, clearance: Clearance, subject: str | None, request: str) -> Written:
        """See :meth:`Contents.write`."""
        return Written(said.text, None, vector_bytes(said.vector))

    async def read(self, event: MemoryEvent) -> Said:
        """See :meth:`Contents.read`."""
        return Said(_plain(event.content), vector_of(event.vector))

    async def shred(self, tenant: str, subject: str) -> Sequence[str]:
        """See :meth:`Contents.shred`."""
        return ()


class SealedContents:
    """Contents at or above ``since`` are sealed by the data key of their tenant, subject and class; None: none are.

    What others sealed can be read either way.
    """

    def __init__(self, ring: KeyRing, names: KeyedHashes, since: Clearance | None) -> None:
        self._ring = ring
        self._names = names
        self._since = since

    async def text(self, query: MemoryQuery) -> str:
        """See :meth:`Contents.text`."""
        if not isinstance(query.content, bytes):
            return query.content or ""
        return (await self._ring.opened(SEALED_QUERY, query.request_id, query.content)).decode("utf-8", "replace")

    async def key(self, query: MemoryQuery) -> DataKey | None:
        """See :meth:`Contents.key`."""
        return None if not isinstance(query.content, bytes) else await held(self._ring, key_id_of(query.content))

    async def write(self, said: Said, tenant: str, clearance: Clearance, subject: str | None, request: str) -> Written:
        """See :meth:`Contents.write`."""
        if self._since is None or clearance < self._since:
            return Written(said.text, None, vector_bytes(said.vector))
        key = await self._ring.obtain(Owner(self._names.tenant(tenant), subject, clearance))
        return Written(seal(key, SEALED_EVENT, request, packed(said)), key.id, None)

    async def read(self, event: MemoryEvent) -> Said:
        """See :meth:`Contents.read`."""
        if not isinstance(event.content, bytes):
            return Said(event.content or "", vector_of(event.vector))
        return unpacked(await self._ring.opened(SEALED_EVENT, event.request_id, event.content))

    async def shred(self, tenant: str, subject: str) -> Sequence[str]:
        """See :meth:`Contents.shred`."""
        return await self._ring.shred(self._names.tenant(tenant), subject)


async def held(ring: KeyRing, key_id: str) -> DataKey:
    """A key by its id, read if need be. Raises SealError, KeysUnavailable."""
    return await settled(lambda: ring.get(key_id))


def _plain(content: str | bytes | None) -> str:
    if isinstance(content, bytes):
        raise NoKey("the content is sealed, and this worker has no keys: see [sealing] in the settings")
    return content or ""


def packed(said: Said) -> bytes:
    """Text and vector as one body, to be sealed: an embedding tells what it was made of."""
    raw = said.text.encode("utf-8", "replace")
    return _LENGTH.pack(len(raw)) + raw + (vector_bytes(said.vector) or b"")


def unpacked(body: bytes) -> Said:
    """The reverse of :func:`packed`. Raises MalformedValue."""
    if len(body) < _LENGTH.size or len(body) < (end := _LENGTH.size + _LENGTH.unpack_from(body)[0]):
        raise MalformedValue("a sealed memory is shorter than it says")
    return Said(body[_LENGTH.size : end].decode("utf-8", "replace"), vector_of(body[end:] or None))


def vector_bytes(vector: Vector | None) -> bytes | None:
    """32-bit floats in little-endian order."""
    return None if vector is None else vector.astype("<f4").tobytes()


def vector_of(raw: bytes | None) -> Vector | None:
    """The reverse of :func:`vector_bytes`; not to be written to. Raises MalformedValue."""
    import numpy as np

    if raw is None:
        return None
    if len(raw) % 4:
        raise MalformedValue(f"a vector of {len(raw)} bytes is no array of 32-bit floats")
    vector: NDArray[np.float32] = np.frombuffer(raw, dtype="<f4").astype(np.float32, copy=False)
    return vector
