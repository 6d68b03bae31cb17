"""Vectors for texts: many askers, few calls of the embedder, none of them on the event loop's time."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiosv3.memory.embedders.port import Embedder
    from aiosv3.memory.views.port import Vector

_BATCH: Final = 64
_REST_S: Final = 30.0
_LOG: Final = logging.getLogger(__name__)


class _Asked(NamedTuple):
    text: str
    query: bool
    vector: asyncio.Future[Vector | None]


class Embedding:
    """Gathers what is asked while a call runs and asks for it in one call after it.

    An embedder that fails is left alone for ``rest`` seconds: a memory is not lost over it, and nobody waits for it.
    """

    def __init__(self, embedder: Embedder | None, rest: float = _REST_S) -> None:
        self._embedder = embedder
        self._rest = rest
        self._resting = 0.0
        self._waiting: list[_Asked] = []
        self._working: asyncio.Task[None] | None = None

    @property
    def name(self) -> str | None:
        """The embedder's; None without one."""
        return None if self._embedder is None else self._embedder.name

    async def vector(self, text: str, *, query: bool = False) -> Vector | None:
        """None where there is no embedder, or it does not work: the text is found by its words then."""
        loop = asyncio.get_running_loop()
        if self._embedder is None or not text or loop.time() < self._resting:
            return None
        asked = _Asked(text, query, loop.create_future())
        self._waiting.append(asked)
        if self._working is None:
            self._working = loop.create_task(self._work(self._embedder))
        return await asked.vector

    async def _work(self, embedder: Embedder) -> None:
        while self._waiting:
            kind = self._waiting[0].query
            batch = [asked for asked in self._waiting if asked.query is kind][:_BATCH]
            for asked, vector in zip(batch, await self._vectors(embedder, batch, query=kind), strict=True):
                self._waiting.remove(asked)
                if not asked.vector.done():
                    asked.vector.set_result(vector)
        self._working = None

    async def _vectors(self, embedder: Embedder, batch: Sequence[_Asked], *, query: bool) -> Sequence[Vector | None]:
        loop = asyncio.get_running_loop()
        try:
            if loop.time() >= self._resting:
                return await embedder.embed([asked.text for asked in batch], query=query)
        except Exception as error:  # noqa: BLE001 -- the boundary of an embedder: whatever it raises, memory goes on
            _LOG.error("embedder %s makes no vectors, asked again in %g s: %s", embedder.name, self._rest, error)
            self._resting = loop.time() + self._rest
        return [None] * len(batch)

    async def close(self) -> None:
        """Closes the embedder."""
        if self._working is not None:
            self._working.cancel()
        if self._embedder is not None:
            await self._embedder.close()
