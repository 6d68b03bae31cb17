"""Stores the blocks that tasks have sealed, before anything is sent that may refer to them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from aiosv3.agents.worker.live import LiveTask
from aiosv3.streams.claims import ClaimStore
from aiosv3.streams.errors import ClaimsUnavailable

_RETRY_S: Final = 0.5
_REMEMBERED: Final = 4_096
_LOG: Final = logging.getLogger(__name__)


class Blocks:
    """``stored(live)`` is called when the store has all that a task had sealed. :meth:`stop` ends all storing.

    A replay seals its blocks again; storing the same one twice is one, and what this worker has stored it remembers.
    """

    def __init__(self, claims: ClaimStore | None, stored: Callable[[LiveTask], None]) -> None:
        self._claims = claims
        self._stored = stored
        self._known: dict[str, None] = {}
        self._work: dict[str, asyncio.Task[None]] = {}

    def stop(self) -> None:
        """Cancels what is being stored; the next owner does it again."""
        for task in self._work.values():
            task.cancel()

    def store(self, live: LiveTask) -> None:
        """Starts storing, one task at a time for each ``live``; counts as ``sending`` meanwhile."""
        if live.task.id in self._work:
            return
        live.sending += 1
        task = asyncio.get_running_loop().create_task(self._store(live.run.sealed))
        self._work[live.task.id] = task
        task.add_done_callback(partial(self._done, live))

    def _done(self, live: LiveTask, task: asyncio.Task[None]) -> None:
        del self._work[live.task.id]
        live.sending -= 1
        if not task.cancelled():
            task.result()
            self._stored(live)

    async def _store(self, sealed: dict[str, bytes]) -> None:
        for claim, raw in list(sealed.items()):
            if claim not in self._known:
                await self._put(claim, raw)
            del sealed[claim]

    def _opened(self) -> ClaimStore:
        if self._claims is None:
            raise ClaimsUnavailable("this worker has none")
        return self._claims

    async def _put(self, claim: str, raw: bytes) -> None:
        while True:
            try:
                await self._opened().put(raw)
            except ClaimsUnavailable as error:
                _LOG.warning("a conversation waits for the claim store: %s", error)
                await asyncio.sleep(_RETRY_S)
                continue
            self._known[claim] = None
            if len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
            return
