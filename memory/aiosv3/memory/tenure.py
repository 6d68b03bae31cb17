"""A memory worker's ownership of a partition: events on its own log, recalls beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Final

from aiosv3.memory.keeping import Keeper
from aiosv3.memory.worker import MemoryWorker
from aiosv3.schemas.errors import WireError
from aiosv3.streams.beside import Sending
from aiosv3.streams.commit import Commit
from aiosv3.streams.effector import EffectorTenure, Request, Unresolved
from aiosv3.streams.log import Committed, Outgoing, Record
from aiosv3.streams.ownlog import Entry
from aiosv3.streams.tenure import Wiring

_RETRY_S: Final = 0.5
SWEEP_S: Final = 30.0
"""How often it is looked for what has expired."""


class MemoryTenure(EffectorTenure):
    """A recall has no effect, so it needs no own log: asked again it is looked up again, and the first answer in the
    asker's journal is the one that counts (docs/adr/0028).
    """

    def __init__(
        self,
        wiring: Wiring,
        partition: int,
        committed: Committed | None,
        start: Commit,
        *,
        worker: MemoryWorker,
        limit: int,
        dead_letters: str,
        keeper: Keeper | None = None,
        sweep: float = SWEEP_S,
    ) -> None:
        super().__init__(wiring, partition, committed, start, effector=worker, limit=limit, dead_letters=dead_letters)
        self._worker = worker
        self._keeper = keeper
        self._sweep_s = sweep
        self._sweeping: asyncio.Task[None] | None = None

    def restored(self) -> None:
        super().restored()
        if self._keeper is not None:
            self._keeper.begin()
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    def halt(self) -> None:
        super().halt()
        if self._keeper is not None:
            self._keeper.stop()
        if self._sweeping is not None:
            self._sweeping.cancel()

    async def _sweep(self) -> None:
        """Expiry is an event like any other: written by the owner, and by nobody's request."""
        while True:
            await asyncio.sleep(self._sweep_s)
            if not self.draining and self.wiring.member.alive():
                for expiry in self._worker.expired(self.partition, self.epoch):
                    record = expiry.record._replace(topic=self.wiring.own_topic, partition=self.partition)
                    self.own.append(expiry.id, record, -1, lambda _entry, _mine: None)

    def admit(self, record: Record) -> Awaitable[object] | None:
        try:
            request = self._worker.read(record)
        except WireError as error:
            self.poison(record, error)
            return None
        if isinstance(request, Unresolved):
            return request.wait
        if not self._worker.recalls(request):
            return super().admit(record)
        self._admitted(record)
        if request.id in self._working:
            self.complete(record.offset)  # its first copy is being looked up
            return None
        self._working[request.id] = asyncio.get_running_loop().time()
        self._spawn(self._recall(request))
        return None

    async def _recall(self, request: Request) -> None:
        while not self.wiring.member.alive():
            await asyncio.sleep(_RETRY_S)
        onward = await self._worker.recall(request)
        self._send_on(request, onward, Sending(1, partial(self._finish, request)), last=False)

    def act(self, request: Request, entry: Entry, answer: Outgoing | None, *, mine: bool) -> None:
        """The asker is told where the event stands, so what is forwarded is the record as the log has it."""
        if answer is None or not mine:
            super().act(request, entry, answer, mine=mine)
            return
        own = self.wiring.own_topic
        landed = Record(own, self.partition, entry.offset, entry.timestamp, answer.key, answer.value, answer.headers)
        self._forward(request, landed)
