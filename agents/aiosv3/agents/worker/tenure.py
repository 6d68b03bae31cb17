"""An agent's ownership of one partition: tasks in, journal beside, results out (protocol sections 3, 4, 6 and 8)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import Final

from aiosv3.agents.facts import JournalEntry, Task
from aiosv3.agents.worker.admission import Identity
from aiosv3.agents.worker.building import Building
from aiosv3.agents.worker.carry import carry_in
from aiosv3.agents.worker.carrying import Carrier
from aiosv3.agents.worker.early import Early
from aiosv3.agents.worker.ending import Ending
from aiosv3.agents.worker.forgetting import Forgetting
from aiosv3.agents.worker.journal import JournalFeed
from aiosv3.agents.worker.lanes import Lanes
from aiosv3.agents.worker.live import LiveTask
from aiosv3.agents.worker.messages import Messages
from aiosv3.agents.worker.opening import Opening
from aiosv3.agents.worker.ownership import Remarking, patches_header, patches_in
from aiosv3.agents.worker.parked import Parked, ParkedTasks
from aiosv3.agents.worker.parking import Parking
from aiosv3.agents.worker.running import Running
from aiosv3.agents.worker.sealing import fetching, settled_soon
from aiosv3.agents.worker.sending import StepSender
from aiosv3.agents.worker.setup import AgentSetup
from aiosv3.agents.worker.showing import Showing
from aiosv3.agents.worker.state import StateAhead, StateTable
from aiosv3.schemas.errors import WireError
from aiosv3.schemas.records import Carry, JournalKind, JournalRecord
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.commit import Commit
from aiosv3.streams.deadletters import Graveyard
from aiosv3.streams.deltas import DeltaSender
from aiosv3.streams.errors import RecordTooLarge
from aiosv3.streams.keys import UnresolvedKey
from aiosv3.streams.log import Appended, Committed, Headers, Outgoing, Record
from aiosv3.streams.ownlog import Learned, learn_from_headers
from aiosv3.streams.tenure import Phase, Tenure, Wiring

_LOG: Final = logging.getLogger(__name__)


class StaleTask(WireError):
    """The own log no longer reaches back to when this task was first sent: it may have been done (rule 13)."""


class AgentTenure(Tenure):
    """Runs the tasks of one partition. Everything that a coroutine learns comes from the journal, in its order."""

    def __init__(
        self, wiring: Wiring, partition: int, committed: Committed | None, start: Commit, *, setup: AgentSetup
    ) -> None:
        super().__init__(wiring, partition, committed, start)
        self.setup = setup
        self.transactional = setup.agent.exactly_once
        self.live: dict[str, LiveTask] = {}
        self._early = Early()
        self._table = ParkedTasks()
        self._lanes = Lanes(setup.agent.order)
        self._graveyard = Graveyard(wiring, setup.topics.dead_letters())
        dead, claims, opened = self._graveyard, setup.claims, setup.seals.opened
        self._journal = JournalFeed(setup.codec, dead, self.is_marker, self._route, self.pump, claims, opened)
        self._journal.next = max(0, start.journal)
        self._sender = StepSender(wiring, self._make_messages(), self._conclude_when_sent, setup, self._acknowledged)
        self.states: StateTable | None = None
        if setup.schemas.state is not None:
            self.states = StateTable(wiring, partition, setup, self.own, self.fail)
        self._remarking = Remarking(self, self._journal, needed=bool(setup.agent.patches))
        self._building = Building(setup, wiring.input_topic, partition, self.states)
        self._ending = Ending(self, setup, self._sender, self._graveyard, self._leave, self.states)
        deltas = DeltaSender(wiring.log, setup.codec, setup.topics.deltas(), setup.deltas, wiring.metrics)
        self._showing = Showing(deltas)
        self._running = Running(self._sender, self._building, wiring.clock, self._ending.conclude, self._showing.show)
        self._carrier = Carrier(setup, self._sender, wiring.input_topic, partition)
        self._parking = Parking(self, setup, self._journal, self._carrier, self.live, self._table)
        self._opening = Opening(self, setup, self._table, self._reopen, self._close_carried, self._opened)
        self._forgetting = Forgetting(setup, self._sender, self.live, self._table, self._wake)

    # -- what the base asks ---------------------------------------------------------------------------------------

    def marks(self) -> Headers:
        return patches_header(self.setup.agent.patches)

    def is_marker(self, record: Record) -> bool:
        marker = super().is_marker(record)
        if marker:
            self._building.ownership.owned(record.offset, patches_in(record))
        return marker

    def learn(self, record: Record) -> Learned:
        learned = learn_from_headers(record)
        if self.states is not None:
            self.states.saw(record, learned)
        return learned

    async def recover(self, start: int, end: int) -> None:
        """State first, so that every state that is found has its result below ``end``, which is asked for again.

        What the own log then says and the state topic does not is projected before anything else.
        """
        if self.states is None:
            await super().recover(start, end)
            return
        try:
            await self.states.restore()
            end = (await self.wiring.log.bounds(self.own.topic, self.partition)).end
            await super().recover(start, end)
            await self.states.catch_up()
        except (StateAhead, WireError, RecordTooLarge) as error:
            self.fail(error)  # waiting would not help
            return
        self.states.watch()

    def room(self) -> bool:
        return len(self.live) < self.setup.live_limit and not self.offsets.full()

    def ready(self) -> bool:
        """The journal is read up to the own marker before any task is admitted (rule 22)."""
        return self._opening.done and super().ready()

    def may_commit(self) -> bool:
        return self._opening.done and super().may_commit()

    def pump(self) -> None:
        if self.marker_seen and self.phase is Phase.RUNNING:
            self._opening.begin()
        self._parking.relieve(waiting=bool(self._inbox))
        super().pump()

    def passing(self, offset: int) -> None:
        self._opening.upto(offset)

    def complete(self, offset: int) -> None:
        self._table.remove(offset)
        super().complete(offset)

    def parked(self) -> tuple[int, int]:
        return len(self._table), self._table.asleep()

    def stuck(self) -> dict[str, str]:
        return self._running.stuck

    def _make_messages(self) -> Messages:
        setup = self.setup
        place = self.partition, self.epoch
        return Messages(setup.agent, setup.schemas, setup.codec, setup.topics, *place, setup.zones, setup.approvals)

    def restored(self) -> None:
        self._sender.messages = self._make_messages()
        self._showing.epoch = self.epoch
        self._early.drop(self._closed)

    def idle(self) -> bool:
        """Open tasks need no waiting for: their journal is the state. Only calls of ``run`` would be made again."""
        return not self._sender.busy and not self._ending.busy and not any(live.ending for live in self.live.values())

    def halt(self) -> None:
        self._sender.stop()
        self._graveyard.close()
        self._journal.close()
        self._ending.stop()
        self._carrier.stop()
        self._parking.stop()
        self._opening.stop()
        self._forgetting.stop()
        if self.states is not None:
            self.states.close()
        for live in self.live.values():
            live.close()
        self.live.clear()
        self._early.clear()
        self._table.clear()

    def journal_floor(self, stored: Sequence[int]) -> int:
        self._early.expire(self.wiring.clock())
        kept = set(stored)
        floor = self._table.journal_floor(self._early.floor(self._journal.next))
        for live in self.live.values():
            if live.parked is None and live.first_journal < floor and live.task.offset not in kept:
                floor = live.first_journal
        return self._building.ownership.floor(floor) if self.setup.agent.patches else floor

    def own_floor(self, stored: Sequence[int]) -> int:
        return self._table.own_floor(super().own_floor(stored))

    # -- journal --------------------------------------------------------------------------------------------------

    def journaled(self, record: Record) -> None:
        if self.phase is not Phase.STOPPED:
            self._journal.take(record)
            self._remarking.check()

    def _acknowledged(self, sent: Outgoing, ack: Appended) -> None:
        record = self._journal.acknowledged(self.partition, sent, ack)
        if record is not None:
            self.journaled(record)

    def _route(self, entry: JournalEntry) -> None:
        record = entry.record
        if record.kind is JournalKind.CARRY:
            self._opening.found(entry, self._journal.bytes)
            return
        live = self.live.get(record.task_id)
        if live is not None:
            live.came(entry, asyncio.get_running_loop().time())
            if live.begun:
                self._running.feed(live, entry)
            else:
                live.entries.append(entry)
            return
        parked = self._table.get(record.task_id)
        if parked is not None and parked.opened and parked.asleep:
            self._wake(parked, [entry])
        elif not self._closed(record):
            self._early.keep(entry)

    def _closed(self, record: JournalRecord) -> bool:
        """False for tasks that may yet be admitted, or opened from a carry that a restore comes to later."""
        if record.task_id in self.own.memory:
            return True
        parked = self._table.get(record.task_id)
        if not self._opening.done or (parked is not None and not parked.opened):
            return False
        return record.task_offset >= 0 and self.offsets.finished(record.task_offset)

    # -- admission ------------------------------------------------------------------------------------------------

    def admit(self, record: Record) -> Awaitable[object] | None:
        try:
            identity = self._building.identity(record)
        except WireError as error:
            self.poison(record, error)
            return None
        offset = self._open_as(identity.id)
        if offset is not None:
            self._received(record)
            if offset != record.offset:
                self.complete(record.offset)  # the same event again while its task is open (rule 14)
            elif self._table.get(identity.id) is not None:
                self.offsets.complete(offset)  # parked, but cut from a set that was too long (rule 8)
            return None
        if self.reached != record.offset and not self.own.covers(identity.first_sent):
            return self._reach(record, identity)
        entry = self.own.memory.get(identity.id)
        if entry is not None:
            if self.states is not None and identity.key is not None and self.states.owes(identity.key, entry):
                return self.states.settle(identity.key, entry)
            self._received(record)
            self._early.claim(identity.id)
            self._ending.again(record, identity.reply, entry)
            return None
        try:
            task = self._building.task(record, identity)
        except (UnresolvedSchema, UnresolvedKey) as missing:
            return fetching(self.setup.store, missing)
        except WireError as error:
            self._received(record)
            self._reject(record, identity, error)
            return None
        self._received(record)
        self._open(record, task)
        return None

    def _open_as(self, task_id: str) -> int | None:
        """The input offset of the open task of this id."""
        live, parked = self.live.get(task_id), self._table.get(task_id)
        if live is not None:
            return live.record.offset
        return parked.offset if parked is not None and parked.asleep else None

    async def _reach(self, record: Record, identity: Identity) -> None:
        if not await self.own.reach(identity.first_sent) and identity.id not in self.own.memory:
            raise self._stale(identity)
        self.reached = record.offset

    def _stale(self, identity: Identity) -> StaleTask:
        return StaleTask(
            f"task {identity.id} says that it was first sent before the oldest record of {self.own.topic}: "
            "whether it was done cannot be known, so it is not done again"
        )

    def _received(self, record: Record) -> None:
        self.wiring.metrics.received.inc()
        self.offsets.admit(record.offset, self.own.known)

    def _open(self, record: Record, task: Task) -> None:
        entries = self._early.claim(task.id)
        first = entries[0].offset if entries else self._journal.next
        now = asyncio.get_running_loop().time()
        live = LiveTask(record, task, self._building.run(task), first, entries, opened=now, own_upto=self.own.known)
        for entry in entries:
            live.came(entry, now)
        self.live[task.id] = live
        if self._lanes.enter(task.key, task.id):
            self._running.begin(live)

    def _conclude_when_sent(self, live: LiveTask) -> None:
        self._running.conclude_when_sent(live)

    def _leave(self, live: LiveTask) -> None:
        self.live.pop(live.task.id, None)
        self._running.stuck.pop(live.task.id, None)
        live.close()
        self._parking.left(live)
        following = self._lanes.leave(live.task.key, live.task.id)
        if following is not None:
            self._turn(following)

    def _turn(self, task_id: str) -> None:
        """It is first in its lane now: it begins, from its carry if it was parked before its turn."""
        live, parked = self.live.get(task_id), self._table.get(task_id)
        if live is not None:
            if not live.begun:
                self._running.begin(live)
        elif parked is not None:
            parked.begun = True
            try:
                self._wake(parked, [])
            except UnresolvedKey as missing:  # that of its subject was replaced meanwhile: it gets another one
                asked = asyncio.ensure_future(settled_soon(missing))
                asked.add_done_callback(lambda _: self._turn(task_id))

    # -- parked tasks (rule 23) -----------------------------------------------------------------------------------

    def _wake(self, parked: Parked, new: list[JournalEntry]) -> None:
        """Builds the task again from its carry and goes on with ``new``.

        Raises UnresolvedSchema before anything is changed: call it again when that is there.
        """
        carry = carry_in(self.setup.codec, parked.body or b"")
        try:
            live = self._building.revive(parked, carry)
        except WireError as error:
            record = self._building.event(parked, carry)
            parked.rouse()
            self._reject(record, self._building.identity(record), error)
            return
        parked.rouse()
        self.live[parked.task_id] = live
        self._parking.roused(live)
        for entry in new:
            live.came(entry, asyncio.get_running_loop().time())
        if parked.begun and carry.resting == self.setup.agent.version:
            self._running.resume(live, new)
            return
        live.entries += new
        if parked.begun:
            self._running.begin(live)

    def _reopen(self, parked: Parked, carry: Carry) -> None:
        """A task that an earlier owner parked: its carry, and what came since, each once. It sleeps on if it can."""
        new = [entry for entry in self._early.claim(parked.task_id) if entry.offset >= carry.upto]
        parked.opened = True
        parked.begun = self._lanes.enter(parked.key, parked.task_id)
        if new or (parked.begun and carry.resting is None):
            self._wake(parked, new)
        else:
            self._parking.sleeps(parked, carry, parked.body or b"")

    def _close_carried(self, parked: Parked, record: Record) -> None:
        """Parked, and then finished: whoever asked may not have heard of it, as its input tells nobody (rule 14)."""
        identity = self._building.identity(record)
        self._early.claim(identity.id)
        entry = self.own.memory.get(identity.id)
        if entry is None:
            self._reject(record, identity, self._stale(identity))
        elif self.offsets.finished(record.offset):
            self._ending.again(record, identity.reply, entry)

    def _opened(self) -> None:
        self._early.drop(self._closed)
        self._parking.start()
        self._forgetting.start()
        self.pump()

    # -- what cannot be run ---------------------------------------------------------------------------------------

    def poison(self, record: Record, error: WireError) -> None:
        """Nobody can read it: a dead letter; with a readable id also a failed result."""
        self._received(record)
        try:
            identity = self._building.identity(record)
        except WireError:
            self._graveyard.bury(record, error, lambda: self.complete(record.offset))
            return
        self._reject(record, identity, error)

    def _reject(self, record: Record, identity: Identity, error: WireError) -> None:
        live = self._building.unreadable(record, identity, self._journal.next)
        self.live[identity.id] = live
        self._early.claim(identity.id)
        self._ending.reject(live, error)
