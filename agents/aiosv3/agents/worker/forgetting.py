"""What becomes of the open tasks of a subject that is forgotten: they end, and none of them seals anything anew.

A task that was started before the keys of its subject were shredded gets no other key, in this worker and in every
later one (``KeyRing.check``): admitted again, or opened from its carry, it ends at once. Those that are at work when a
worker hears of it are cancelled through their journal, so that a replay comes to the same (protocol rules 17 and 25).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from aiosv3.agents.facts import Finish, JournalEntry
from aiosv3.agents.worker.admission import grant_of, identify
from aiosv3.agents.worker.carry import carry_in, task_record
from aiosv3.agents.worker.cloudevents import unfolded
from aiosv3.agents.worker.live import LiveTask
from aiosv3.agents.worker.parked import Parked, ParkedTasks
from aiosv3.agents.worker.sending import StepSender
from aiosv3.agents.worker.setup import AgentSetup
from aiosv3.schemas.errors import WireError
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome, StepFailure
from aiosv3.schemas.sealing import KeyShredded
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.keys import UnresolvedKey
from aiosv3.streams.log import Record
from aiosv3.streams.ownlog import provenance

FORGOTTEN: Final = "SubjectForgotten"
_AT_ONCE: Final = 50
_WORDS: Final = "the subject of this task was forgotten while it was open"
_LOG: Final = logging.getLogger(__name__)


class Forgetting:
    """Of one ownership. ``wake(parked, [])`` builds a task that sleeps, and finds that it is over."""

    def __init__(
        self,
        setup: AgentSetup,
        sender: StepSender,
        live: Mapping[str, LiveTask],
        table: ParkedTasks,
        wake: Callable[[Parked, list[JournalEntry]], None],
    ) -> None:
        self._setup = setup
        self._sender = sender
        self._live = live
        self._table = table
        self._wake = wake
        self._told: set[str] = set()
        self._again = False
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on; and for what was shredded before, of which tasks may sleep here."""
        ring = self._setup.seals.ring
        if ring is not None:
            ring.heard.append(self._heard)
            if ring.has_shredded:
                self._look()

    def stop(self) -> None:
        """The ownership ends."""
        ring = self._setup.seals.ring
        if ring is not None and self._heard in ring.heard:
            ring.heard.remove(self._heard)
        if self._looking is not None:
            self._looking.cancel()

    def _heard(self, tenant: str, subject: str | None, at: int) -> None:
        self._look()

    def _look(self) -> None:
        self._again = True
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._search())

    async def _search(self) -> None:
        while self._again:
            self._again = False
            for live in list(self._live.values()):
                if live.task.id not in self._told and self._setup.seals.over(live.task.grant, live.task.timestamp):
                    self._told.add(live.task.id)
                    self._cancel(live)
            for number, parked in enumerate(list(self._table)):
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)
                if parked.asleep and parked.opened:
                    self._end(parked)

    def _cancel(self, live: LiveTask) -> None:
        """Through its journal, which decides whether it has finished before."""
        record = self._sender.messages.journal(live.task, cancelled(live), provenance(live.record))
        self._sender.append(record, lambda _ack: None)

    def _end(self, parked: Parked) -> None:
        try:
            if self._is_over(parked):
                self._wake(parked, [])
        except (UnresolvedSchema, UnresolvedKey, WireError) as error:
            _LOG.debug("task %s is looked at again when it wakes: %s", parked.task_id, error)

    def _is_over(self, parked: Parked) -> bool:
        setup = self._setup
        record = unfolded(task_record(carry_in(setup.codec, parked.body or b""), "", 0, parked.offset))
        identity = identify(record, setup.agent.name)
        grant = setup.seals.admitted(grant_of(record, identity, setup.agent, setup.defaults), record)
        return setup.seals.over(grant, record.timestamp)


def cancelled(live: LiveTask) -> JournalRecord:
    """What ends a task that is at work: a cancel that says why."""
    failure = StepFailure(FORGOTTEN, _WORDS, retryable=False)
    offset = live.record.offset
    return JournalRecord(live.task.id, offset, None, None, JournalKind.CANCEL, Outcome.CANCELLED, error=failure)


def finish_of(record: Record, error: WireError) -> Finish:
    """How a task ends that cannot be run: failed, or cancelled where its subject was forgotten."""
    if isinstance(error, KeyShredded):
        failure = StepFailure(FORGOTTEN, str(error), retryable=False)
        return Finish(Outcome.CANCELLED, -1, record.timestamp, None, failure)
    failure = StepFailure(type(error).__name__, str(error), retryable=False)
    return Finish(Outcome.FAILED, -1, record.timestamp, None, failure)
