"""What earlier owners parked: found in the journal up to the own marker, then opened in task-offset order (rule 23)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from aiosv3.agents.facts import JournalEntry
from aiosv3.agents.worker.admission import grant_of, identify
from aiosv3.agents.worker.carry import carry_in, journal_record, schemas_of, task_record
from aiosv3.agents.worker.carrying import filled
from aiosv3.agents.worker.parked import Parked, ParkedTasks
from aiosv3.agents.worker.setup import AgentSetup
from aiosv3.schemas.errors import AiosError, RegistryUnavailable, WireError
from aiosv3.schemas.records import Carry
from aiosv3.streams.errors import ClaimMissing, ClaimsUnavailable, KeysUnavailable
from aiosv3.streams.keys.ring import settled
from aiosv3.streams.log import Record
from aiosv3.streams.tenure import Tenure

_RETRY_S: Final = 0.5
_AT_ONCE: Final = 50
_LOG: Final = logging.getLogger(__name__)


class Found(NamedTuple):
    """A carry of an earlier owner. ``mark``: journal bytes read before it."""

    entry: JournalEntry
    carry: Carry
    mark: int


class Opening:
    """``open_one(parked, carry)`` is called for each in task-offset order; ``closed(parked, record)`` for those that
    have their result, or may have one that is gone; ``opened()`` once, when inputs may be admitted.

    The carry with the largest ``upto`` wins, whoever wrote it: each one states facts about the same journal.
    """

    def __init__(
        self,
        tenure: Tenure,
        setup: AgentSetup,
        table: ParkedTasks,
        open_one: Callable[[Parked, Carry], None],
        closed: Callable[[Parked, Record], None],
        opened: Callable[[], None],
    ) -> None:
        self._tenure = tenure
        self._setup = setup
        self._table = table
        self._open_one = open_one
        self._closed = closed
        self._opened = opened
        self._found: dict[str, Found] = {}
        self._pending: deque[tuple[Parked, Carry]] = deque()
        self._working: asyncio.Task[None] | None = None
        self._begun = False
        self.done = False
        """True when those below the committed base are open: nothing is admitted or committed before (rule 22)."""

    def stop(self) -> None:
        """The ownership ends."""
        if self._working is not None:
            self._working.cancel()
        self._found.clear()
        self._pending.clear()

    def found(self, entry: JournalEntry, mark: int) -> None:
        """A carry in the journal. Those above the own marker are mine, or of somebody who does not own this."""
        carry = entry.record.carry
        if self._begun or self._tenure.marker_seen or carry is None:
            return
        known = self._found.get(entry.record.task_id)
        if known is None or carry.upto >= known.carry.upto:
            self._found[entry.record.task_id] = Found(entry, carry, mark)

    def begin(self) -> None:
        """Both logs have been read to the marker: opens what was found. Later calls change nothing."""
        if self._begun:
            return
        self._begun = True
        if self._found:
            self._working = asyncio.get_running_loop().create_task(self._open())
        else:
            self._finish()

    def upto(self, offset: int) -> None:
        """Opens those whose input stands at or below ``offset``: it is passing by, or skipped."""
        while self._pending and self._pending[0][0].offset <= offset:
            self._open_one(*self._pending.popleft())

    async def _open(self) -> None:
        tenure = self._tenure
        self._forget_ended()
        carries: dict[str, tuple[Carry, bytes]] = {}
        while True:
            try:
                for task_id, found in self._found.items():
                    if task_id not in carries:
                        carries[task_id] = await self._whole(found)
                break
            except (ClaimsUnavailable, KeysUnavailable, RegistryUnavailable) as error:
                _LOG.warning("%s[%s] waits: %s", tenure.wiring.name, tenure.partition, error)
                await asyncio.sleep(_RETRY_S)
            except AiosError as error:
                tenure.fail(error)
                return
        self._sort(carries)
        while self._pending and self._pending[0][0].offset < tenure.offsets.base:
            for _ in range(_AT_ONCE):
                if self._pending and self._pending[0][0].offset < tenure.offsets.base:
                    self._open_one(*self._pending.popleft())
            await asyncio.sleep(0)
        self._finish()

    async def _whole(self, found: Found) -> tuple[Carry, bytes]:
        """The carry with its content, and what is needed to read that."""
        carry, body, setup = found.carry, found.entry.value, self._setup
        if carry.claim is not None:
            if setup.claims is None:
                raise ClaimMissing(f"{found.entry.record.task_id} was parked in a claim store; this worker has none")
            body = await setup.claims.get(carry.claim)
            carry = carry_in(setup.codec, body)
        for schema_id in schemas_of(carry):
            await setup.store.resolve(schema_id)
        await _keys_of(carry, setup)
        if carry.resting is None and setup.claims is not None:
            whole = await filled(carry, setup.codec, setup.claims)
            if whole != carry:
                record = found.entry.record
                return whole, setup.codec.encode(journal_record(record.task_id, record.task_offset, whole))
        return carry, body

    def _forget_ended(self) -> None:
        """The commit holds T down to the ``own_upto`` of each task that was open at it (rule 9): those below are over.

        What is left has its result, if it has one, above T, where memory was read from.
        """
        over = [task_id for task_id, found in self._found.items() if found.carry.own_upto < self._tenure.start.own]
        for task_id in over:
            del self._found[task_id]

    def _sort(self, carries: dict[str, tuple[Carry, bytes]]) -> None:
        tenure, pending = self._tenure, []
        for task_id, found in self._found.items():
            carry, body = carries[task_id]
            offset, size = found.entry.record.task_offset, len(found.entry.value)
            key = carry.task_key.decode("utf-8", "replace") if carry.task_key is not None else None
            at = found.entry.timestamp
            parked = Parked(task_id, offset, key, found.carry.upto, found.carry.own_upto, at, found.mark, size)
            self._table.add(parked)
            if task_id in tenure.own.memory or parked.own_upto < tenure.own.floor:
                self._closed(parked, task_record(carry, tenure.wiring.input_topic, tenure.partition, offset))
                continue
            parked.body, parked.opened = body, False
            pending.append((parked, carry))
        self._pending.extend(sorted(pending, key=lambda one: one[0].offset))
        self._found.clear()

    def _finish(self) -> None:
        self.done = True
        self._opened()


async def _keys_of(carry: Carry, setup: AgentSetup) -> None:
    """All that opening the task needs is there afterwards. Raises KeysUnavailable."""
    seals, agent = setup.seals, setup.agent
    if seals.ring is None:
        return
    await seals.resolve([carry.task_value])
    await seals.resolve_entries(setup.codec, carry.entries)
    record = task_record(carry, "", 0, 0)
    with suppress(WireError):  # it is told when the task is opened
        grant = seals.admitted(grant_of(record, identify(record, agent.name), agent, setup.defaults), record)
        await settled(lambda: seals.keys(grant, max(grant.clearance, agent.clearance), record.timestamp))
