"""Earlier messages of a prompt, read from the claim store by the worker that calls the model."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final, NamedTuple

from aiosv3.schemas.errors import AiosError, MalformedValue
from aiosv3.schemas.history import Block, whole
from aiosv3.schemas.records import Message, Prompt
from aiosv3.schemas.sealing import BLOCK, KeyShredded, NoKey, SealError, is_sealed, key_id_of
from aiosv3.streams.claims import ClaimStore
from aiosv3.streams.errors import ClaimError, ClaimsUnavailable, KeysUnavailable
from aiosv3.streams.keys import KeyRing

_KEPT: Final = 64 * 1024 * 1024
_MOST: Final = 32 * 1024 * 1024
_LEAST: Final = 512


class HistoryUnavailable(AiosError):
    """The earlier messages of a prompt cannot be read. ``later``: the store did not answer, another try may help."""

    def __init__(self, message: str, *, later: bool = False) -> None:
        super().__init__(message)
        self.later = later


class _Read(NamedTuple):
    block: Block
    size: int
    key_id: str | None = None
    """What it is sealed with."""


class HistoryReader:
    """Puts the history of prompts in. ``claims`` None: every prompt with a history fails.

    The blocks read last are kept, ``kept`` bytes of them: of a conversation that goes on, one or two are new each time.
    A history of more than ``most`` bytes is refused.
    """

    def __init__(
        self, claims: ClaimStore | None, *, kept: int = _KEPT, most: int = _MOST, ring: KeyRing | None = None
    ) -> None:
        self._claims = claims
        self._ring = ring
        self._kept = kept
        self._most = most
        self._blocks: OrderedDict[str, _Read] = OrderedDict()
        self._size = 0

    async def whole(self, prompt: Prompt) -> Prompt:
        """The prompt with all of its messages and no history. Raises :class:`HistoryUnavailable`."""
        if prompt.history is None:
            return prompt
        history = await self._messages(prompt.history)
        return replace(prompt, messages=whole(prompt.messages, history), history=None)

    async def _messages(self, head: str) -> tuple[Message, ...]:
        parts: list[tuple[Message, ...]] = []
        size, claim = 0, head
        while True:
            read = await self._block(claim)
            parts.append(read.block.messages)
            size += read.size
            if size > self._most:
                raise HistoryUnavailable(f"the history {head} has more than {self._most} bytes")
            if read.block.prev is None:
                return tuple(message for part in reversed(parts) for message in part)
            claim = read.block.prev

    async def _block(self, claim: str) -> _Read:
        known = self._blocks.get(claim)
        if known is not None and not self._shredded(known):
            self._blocks.move_to_end(claim)
            return known
        if self._claims is None:
            raise HistoryUnavailable("this worker has no claim store to read earlier messages from")
        try:
            raw = await self._claims.get(claim)
            read = await self._opened(raw)
        except NoKey as error:  # others may have it
            raise HistoryUnavailable(f"earlier messages are sealed: {error}", later=True) from error
        except (ClaimsUnavailable, KeysUnavailable) as error:
            raise HistoryUnavailable(f"earlier messages cannot be read now: {error}", later=True) from error
        except (ClaimError, MalformedValue, SealError) as error:
            raise HistoryUnavailable(f"earlier messages cannot be read: {error}") from error
        self._keep(claim, read)
        return read

    async def _opened(self, raw: bytes) -> _Read:
        size = max(len(raw), _LEAST)
        if not is_sealed(raw):
            return _Read(Block.decode(raw), size)
        if self._ring is None:
            raise NoKey("this worker has no keys: set [sealing]")
        return _Read(Block.decode(await self._ring.opened(BLOCK, "", raw)), size, key_id_of(raw))

    def _shredded(self, read: _Read) -> bool:
        """What is kept here must not outlive its key."""
        if read.key_id is None or self._ring is None:
            return False
        try:
            self._ring.get(read.key_id)
        except KeyShredded:
            return True
        return False

    def _keep(self, claim: str, read: _Read) -> None:
        if claim not in self._blocks:
            self._blocks[claim] = read
            self._size += read.size
        while self._size > self._kept and self._blocks:
            self._size -= self._blocks.popitem(last=False)[1].size
