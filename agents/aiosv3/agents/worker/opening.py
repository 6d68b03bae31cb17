"""What earlier owners parked: found in the journal up to the own marker, then opened in task-offset order (rule 23)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
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
    """A carry of an earlier owner, as it stands in the journal. ``mark``: journal bytes read before it.

    Of a million of them nothing but this is kept until they are opened: Python's collector does not look into it.
    """

    task_id: str
    offset: int
    timestamp: int
    value: bytes
    upto: int
    own_upto: int
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
        task_id, offset = entry.record.task_id, entry.record.task_offset
        known = self._found.get(task_id)
        if known is None or carry.upto >= known.upto:
            at, value = entry.timestamp, entry.value
            self._found[task_id] = Found(task_id, offset, at, value, carry.upto, carry.own_upto, mark)

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
        """In task-offset order, a few at a time: the loop has other tasks, and a membership to answer for."""
        found = sorted(self._over_or_open(), key=lambda one: one.offset)
        self._found.clear()
        base = self._tenure.offsets.base
        for number, one in enumerate(found):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                carry, body = await self._settled(one)
            except AiosError as error:
                self._tenure.fail(error)
                return
            parked = self._parked(one, carry, body)
            if parked is None:
                continue
            if parked.offset < base:
                self._open_one(parked, carry)
            else:
                self._pending.append((parked, carry))
        self._finish()

    def _over_or_open(self) -> Iterator[Found]:
        """The commit holds T down to the ``own_upto`` of each task that was open at it (rule 9): those below are over.

        What is left has its result, if it has one, above T, where memory was read from.
        """
        return (found for found in self._found.values() if found.own_upto >= self._tenure.start.own)

    async def _settled(self, found: Found) -> tuple[Carry, bytes]:
        while True:
            try:
                return await self._whole(found)
            except (ClaimsUnavailable, KeysUnavailable, RegistryUnavailable) as error:
                _LOG.warning("%s[%s] waits: %s", self._tenure.wiring.name, self._tenure.partition, error)
                await asyncio.sleep(_RETRY_S)

    async def _whole(self, found: Found) -> tuple[Carry, bytes]:
        """The carry with its content, and what is needed to read that."""
        body, setup = found.value, self._setup
        carry = carry_in(setup.codec, body)
        if carry.claim is not None:
            if setup.claims is None:
                raise ClaimMissing(f"{found.task_id} was parked in a claim store; this worker has none")
            body = await setup.claims.get(carry.claim)
            carry = carry_in(setup.codec, body)
        for schema_id in schemas_of(carry):
            await setup.store.resolve(schema_id)
        await _keys_of(carry, setup)
        if carry.resting is None and setup.claims is not None:
            whole = await filled(carry, setup.codec, setup.claims)
            if whole != carry:
                return whole, setup.codec.encode(journal_record(found.task_id, found.offset, whole))
        return carry, body

    def _parked(self, found: Found, carry: Carry, body: bytes) -> Parked | None:
        """As an entry of the table; None if it is closed at once."""
        tenure, size = self._tenure, len(found.value)
        key = carry.task_key.decode("utf-8", "replace") if carry.task_key is not None else None
        parked = Parked(found.task_id, found.offset, key, found.upto, found.own_upto, found.timestamp, found.mark, size)
        self._table.add(parked)
        if found.task_id in tenure.own.memory or found.own_upto < tenure.own.floor:
            self._closed(parked, task_record(carry, tenure.wiring.input_topic, tenure.partition, found.offset))
            return None
        parked.body, parked.opened = body, False
        return parked

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
