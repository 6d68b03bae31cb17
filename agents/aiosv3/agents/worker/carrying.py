"""How carries get onto the journal: as they are, or through the claim store where they are too large for a record."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from aiosv3.agents.worker.carry import claimed, journal_record
from aiosv3.agents.worker.sending import StepSender
from aiosv3.agents.worker.setup import AgentSetup
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.records import Carry, CarryEntry, CarryTimer, JournalKind, JournalRecord, Outcome
from aiosv3.schemas.sealing import is_sealed
from aiosv3.streams.answers import journal_outgoing
from aiosv3.streams.claims import ClaimStore
from aiosv3.streams.errors import AppendFailed, ClaimCorrupt, ClaimError, ClaimMissing
from aiosv3.streams.log import Appended, Outgoing

_RETRY_S: Final = 5.0
_LOG: Final = logging.getLogger(__name__)

Written: TypeAlias = Callable[[bytes, Appended | AppendFailed], None]
"""``(the whole carry's bytes, acknowledgement)``."""


async def filled(carry: Carry, codec: Codec, claims: ClaimStore) -> Carry:
    """``carry`` with the content of those entries that had only a claim: their task got stuck for want of it.

    What the store still does not have stays as it is. Raises ClaimsUnavailable, WireError.
    """
    return replace(carry, entries=tuple([await _filled(entry, codec, claims) for entry in carry.entries]))


async def _filled(entry: CarryEntry, codec: Codec, claims: ClaimStore) -> CarryEntry:
    record = codec.decode_as(JournalRecord, entry.value)
    if record.claim is None:
        return entry
    try:
        raw = await claims.get(record.claim)
        content = raw if is_sealed(raw) else raw.decode()
    except (ClaimMissing, ClaimCorrupt, UnicodeDecodeError) as error:
        _LOG.error("task %s lacks the answer of step %s: %s", record.task_id, record.step_id, error)
        return entry
    return replace(entry, value=codec.encode(replace(record, content=content, claim=None)))


class Carrier:
    """Writes carries of one partition. ``source``: the input topic and partition, for ``ce_source``."""

    def __init__(self, setup: AgentSetup, sender: StepSender, source: str, partition: int) -> None:
        self._setup = setup
        self._sender = sender
        self._source = source
        self._partition = partition
        self._storing: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """What is not written yet is not written."""
        for task in self._storing:
            task.cancel()

    def body(self, task_id: str, offset: int, carry: Carry) -> bytes:
        """The carry as the value of a journal record."""
        return self._setup.codec.encode(journal_record(task_id, offset, carry))

    def write(self, task_id: str, offset: int, carry: Carry, written: Written) -> None:
        """Appends the carry of the task whose input stands at ``offset``."""
        outgoing = self._outgoing(journal_record(task_id, offset, carry))
        body = outgoing.value or b""
        if self._setup.claims is None or len(body) <= self._setup.parking.inline:
            self._sender.append(outgoing, lambda ack: written(body, ack))
            return
        task = asyncio.get_running_loop().create_task(self._store(task_id, offset, carry, body, written))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def _store(self, task_id: str, offset: int, carry: Carry, body: bytes, written: Written) -> None:
        claims = self._setup.claims
        assert claims is not None
        while True:
            try:
                claim = await claims.put(body)
                break
            except ClaimError as error:
                _LOG.warning("task %s is parked later: %s", task_id, error)
                await asyncio.sleep(_RETRY_S)
        outgoing = self._outgoing(journal_record(task_id, offset, claimed(carry, claim)))
        self._sender.append(outgoing, lambda ack: written(body, ack))

    def fire(self, task_id: str, offset: int, timer: CarryTimer) -> None:
        """Journals that a timer of a sleeping task is due."""
        record = JournalRecord(task_id, offset, timer.step, timer.hash, JournalKind.TIMER, Outcome.OK)
        self._sender.append(self._outgoing(record), lambda _ack: None)

    def _outgoing(self, record: JournalRecord) -> Outgoing:
        setup = self._setup
        topic = setup.topics.journal(setup.agent.name)
        source = f"{self._source}/{self._partition}/{record.task_offset}".encode()
        return journal_outgoing(setup.codec, topic, self._partition, record, source)
