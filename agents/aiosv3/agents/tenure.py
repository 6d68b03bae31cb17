"""An agent's ownership of one partition: tasks in, journal beside, results out (protocol sections 3, 4, 6 and 8)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiosv3.agents.admission import Defaults, Identity, admitted, grant_of, identify, wishes_of
from aiosv3.agents.agent import Agent, Order
from aiosv3.agents.journal import JournalFeed
from aiosv3.agents.messages import Messages
from aiosv3.agents.sending import LiveTask, StepSender
from aiosv3.agents.steps import CallStep
from aiosv3.agents.task import DEADLINE_STEP, Finish, JournalEntry, Task, TaskRun
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope
from aiosv3.schemas.errors import AiosError, RegistryUnavailable, WireError
from aiosv3.schemas.headers import Grant
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome, StepFailure
from aiosv3.schemas.store import SchemaStore, UnresolvedSchema
from aiosv3.schemas.topics import Topics
from aiosv3.streams.commit import Commit
from aiosv3.streams.deadletters import Graveyard
from aiosv3.streams.errors import AppendFailed, AppendUnknown
from aiosv3.streams.log import Appended, Committed, Outgoing, Record
from aiosv3.streams.ownlog import Entry, Learned, learn_from_headers
from aiosv3.streams.tenure import Phase, Tenure, Wiring

_LOG: Final = logging.getLogger(__name__)
_RETRY_S: Final = 0.5
_CANCEL_KEPT_MS: Final = 24 * 3600 * 1000


class StaleTask(WireError):
    """The own log no longer reaches back to when this task was first sent: it may have been done (rule 13)."""


@dataclass(frozen=True, slots=True)
class AgentSetup:
    """What all partitions of one agent share. ``secret`` keys the reply tokens of the whole mesh."""

    agent: Agent[Any, Any]
    schemas: AgentSchemas
    codec: Codec
    store: SchemaStore
    topics: Topics
    secret: bytes
    defaults: Defaults = Defaults()
    live_limit: int = 10_000


class AgentTenure(Tenure):
    """Runs the tasks of one partition. Everything that a coroutine learns comes from the journal, in its order."""

    def __init__(
        self, wiring: Wiring, partition: int, committed: Committed | None, start: Commit, *, setup: AgentSetup
    ) -> None:
        super().__init__(wiring, partition, committed, start)
        self.setup = setup
        self.live: dict[str, LiveTask] = {}
        self._buffer: dict[str, list[JournalEntry]] = {}
        self._lanes: dict[str, deque[LiveTask]] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._graveyard = Graveyard(wiring, setup.topics.dead_letters())
        self._journal = JournalFeed(setup.codec, self._graveyard, self.is_marker, self._route, self.pump)
        self._journal.next = max(0, start.journal)
        self._sender = StepSender(wiring, self._make_messages(), self._conclude_when_sent)

    # -- what the base asks ---------------------------------------------------------------------------------------

    def learn(self, record: Record) -> Learned:
        return learn_from_headers(record)

    def room(self) -> bool:
        return len(self.live) < self.setup.live_limit and not self.offsets.crowded()

    def ready(self) -> bool:
        """The journal is read up to the own marker before any task is admitted (rule 22)."""
        return self.marker_seen and super().ready()

    def may_commit(self) -> bool:
        return self.marker_seen and super().may_commit()

    def _make_messages(self) -> Messages:
        setup = self.setup
        return Messages(setup.agent, setup.schemas, setup.codec, setup.topics, self.partition, self.epoch)

    def restored(self) -> None:
        self._sender.messages = self._make_messages()
        for task_id in self._buffer.keys() & self.own.memory.keys():
            del self._buffer[task_id]

    def idle(self) -> bool:
        """Open tasks need no waiting for: their journal is the state. Only calls of ``run`` would be made again."""
        return not self._sender.busy and not self._answers and not any(live.ending for live in self.live.values())

    def halt(self) -> None:
        self._sender.stop()
        self._graveyard.close()
        self._journal.close()
        for task in self._answers:
            task.cancel()
        for live in self.live.values():
            self._forget(live)
        self.live.clear()
        self._buffer.clear()

    def _forget(self, live: LiveTask) -> None:
        live.disarm()
        live.run.close()

    def journal_floor(self, stored: Sequence[int]) -> int:
        self._forget_cancels(self.wiring.clock() - _CANCEL_KEPT_MS)
        kept = set(stored)
        floor = self._journal.next
        for live in self.live.values():
            if live.first_journal < floor and live.task.offset not in kept:
                floor = live.first_journal
        for entries in self._buffer.values():
            if entries and entries[0].offset < floor:
                floor = entries[0].offset
        return floor

    # -- journal --------------------------------------------------------------------------------------------------

    def journaled(self, record: Record) -> None:
        if self.phase is not Phase.STOPPED:
            self._journal.take(record)

    def _route(self, entry: JournalEntry) -> None:
        record = entry.record
        live = self.live.get(record.task_id)
        if live is not None:
            if live.begun:
                self._feed(live, entry)
            else:
                live.entries.append(entry)
        elif not self._closed(record):
            self._keep(entry)

    def _closed(self, record: JournalRecord) -> bool:
        if record.task_id in self.own.memory:
            return True
        return record.task_offset >= 0 and self.offsets.finished(record.task_offset)

    def _keep(self, entry: JournalEntry) -> None:
        """For a task that is not admitted yet: its journal comes first at a restore, a cancel may come early."""
        self._buffer.setdefault(entry.record.task_id, []).append(entry)

    def _forget_cancels(self, oldest: int) -> None:
        for name, entries in list(self._buffer.items()):
            if entries[-1].timestamp < oldest and all(entry.record.task_offset < 0 for entry in entries):
                del self._buffer[name]

    # -- admission ------------------------------------------------------------------------------------------------

    def admit(self, record: Record) -> Awaitable[object] | None:
        try:
            identity = identify(record, self.setup.agent.name)
        except WireError as error:
            self.poison(record, error)
            return None
        open_live = self.live.get(identity.id)
        if open_live is not None:
            self._received(record)
            if open_live.task.offset != record.offset:
                self.complete(record.offset)  # the same event again while its task is open (rule 14)
            return None
        if self.reached != record.offset and not self.own.covers(identity.first_sent):
            return self._reach(record, identity)
        entry = self.own.memory.get(identity.id)
        if entry is not None:
            self._received(record)
            self._answered_before(record, identity, entry)
            return None
        try:
            grant = grant_of(record, identity, self.setup.agent, self.setup.defaults)
            wishes = wishes_of(record)
            value = self._value(record)
        except UnresolvedSchema as error:
            return self.setup.store.resolve(error.schema_id)
        except WireError as error:
            self._received(record)
            self._reject(record, identity, error)
            return None
        self._received(record)
        self._open(record, admitted(record, identity, grant, value, wishes))
        return None

    async def _reach(self, record: Record, identity: Identity) -> None:
        if not await self.own.reach(identity.first_sent) and identity.id not in self.own.memory:
            raise StaleTask(
                f"task {identity.id} says that it was first sent before the oldest record of {self.own.topic}: "
                "whether it was done cannot be known, so it is not done again"
            )
        self.reached = record.offset

    def _received(self, record: Record) -> None:
        self.wiring.metrics.received.inc()
        self.offsets.admit(record.offset, self.own.known)

    def _value(self, record: Record) -> Any:
        """The agent's input out of a task event; JSON by content type or by its looks, Avro otherwise."""
        schemas, raw = self.setup.schemas, record.value
        if raw is None:
            raise WireError("a task without a value: its input is missing")
        if raw[:1] == b"\0":
            envelope = schemas.decode_task(self.setup.codec, raw)
            if envelope.sealed is not None:
                raise WireError(
                    f"the task is sealed with key {envelope.content_key_id}, which this worker does not have"
                )
            return envelope.content
        return schemas.parse_json_task(raw)

    def _open(self, record: Record, task: Task) -> None:
        entries = self._buffer.pop(task.id, [])
        first = entries[0].offset if entries else self._journal.next
        run = TaskRun(self.setup.agent, task, self.setup.secret)
        live = LiveTask(record, task, run, first, entries)
        self.live[task.id] = live
        if self.setup.agent.order is Order.SERIAL and task.key is not None:
            lane = self._lanes.setdefault(task.key, deque())
            lane.append(live)
            if lane[0] is not live:
                return
        self._begin(live)

    def _begin(self, live: LiveTask) -> None:
        """Starts the coroutine and feeds what the journal already holds, then sends what is unanswered (rule 16)."""
        live.begun = True
        entries, live.entries = live.entries, []
        cancelled_early = bool(entries) and entries[0].record.kind is JournalKind.CANCEL
        expired = live.task.grant.exp is not None and not entries and live.task.grant.exp <= self.wiring.clock()
        if expired:
            failure = StepFailure("StepTimeout", "past its deadline before it could be started", retryable=False)
            self._conclude(live, Finish(Outcome.FAILED, -1, live.task.timestamp, None, failure))
            return
        if not cancelled_early:
            live.run.start()
        for entry in entries:
            live.announced = live.announced or entry.record.kind is JournalKind.STARTED
            live.run.feed(entry)
        self._after(live)

    def _feed(self, live: LiveTask, entry: JournalEntry) -> None:
        live.run.feed(entry)
        live.disarm(keep=live.run.waiting.keys() | {DEADLINE_STEP})
        self._after(live)

    def _after(self, live: LiveTask) -> None:
        run = live.run
        if run.stuck is not None:
            _LOG.error("task %s is stuck: %s", live.task.id, run.stuck)
            return
        live.unsent.extend(run.take())
        if run.finish is not None:
            live.unsent = [step for step in live.unsent if isinstance(step, CallStep) and not step.wait]
        if live.unsent:
            self._sender.announce(live)
        elif run.finish is not None:
            self._conclude_when_sent(live)

    def _conclude_when_sent(self, live: LiveTask) -> None:
        if live.sending == 0 and not live.ending and live.run.finish is not None:
            self._conclude(live, live.run.finish)

    # -- ending ---------------------------------------------------------------------------------------------------

    def _conclude(self, live: LiveTask, finish: Finish) -> None:
        live.ending = True
        live.disarm()
        record = self._result(live, finish)
        self.own.append(live.task.id, record, live.record.offset, partial(self._settled, live, record))

    def _result(self, live: LiveTask, finish: Finish) -> Outgoing:
        try:
            return self._sender.messages.result(live.record, live.task, live.run, finish)
        except (AiosError, ValueError, TypeError) as error:
            failure = StepFailure("ResultInvalid", f"the result is not of the declared type: {error}", retryable=False)
            failed = Finish(Outcome.FAILED, finish.journal_offset, finish.timestamp, None, failure)
            return self._sender.messages.result(live.record, live.task, live.run, failed)

    def _settled(self, live: LiveTask, record: Outgoing, entry: Entry | AppendFailed, mine: bool) -> None:
        if isinstance(entry, AppendFailed):
            failure = StepFailure("RecordRejected", f"the result does not fit on the log: {entry}", retryable=False)
            finish = Finish(Outcome.FAILED, -1, live.task.timestamp, None, failure)
            self._conclude(live, finish)
            return
        self._leave(live)
        if live.task.reply is None:
            self.complete(live.record.offset)
        elif mine and record.value is not None:
            self._answer(live.record, record.value, entry)
        else:
            self._spawn(self._answer_again(live.record, entry))

    def _leave(self, live: LiveTask) -> None:
        self.live.pop(live.task.id, None)
        self._forget(live)
        lane = self._lanes.get(live.task.key or "") if self.setup.agent.order is Order.SERIAL else None
        if lane and lane[0] is live:
            lane.popleft()
            if lane:
                self._begin(lane[0])
            else:
                del self._lanes[live.task.key or ""]

    def _answered_before(self, record: Record, identity: Identity, entry: Entry) -> None:
        self.wiring.metrics.answered_again.inc()
        self._buffer.pop(identity.id, None)
        if identity.reply is None:
            self.complete(record.offset)
            return
        self.offsets.pin(record.offset, entry.offset)
        self._spawn(self._answer_again(record, entry))

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._answers.add(task)
        task.add_done_callback(self._spawned)
        return task

    def _spawned(self, task: asyncio.Task[None]) -> None:
        self._answers.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, AiosError):
            self.fail(error)
        elif error is not None:
            raise error

    async def _answer_again(self, record: Record, entry: Entry) -> None:
        while self.phase is not Phase.STOPPED:
            try:
                await self._answer_as_written(record, entry)
                return
            except (AppendUnknown, RegistryUnavailable) as error:
                _LOG.warning("%s[%s]: answers again in a moment: %s", self.wiring.name, self.partition, error)
                await asyncio.sleep(_RETRY_S)

    async def _answer_as_written(self, record: Record, entry: Entry) -> None:
        value = (await self.own.record(entry)).value or b""
        try:
            self._answer(record, value, entry)
        except UnresolvedSchema as error:
            await self.setup.store.resolve(error.schema_id)
            self._answer(record, value, entry)

    def _answer(self, record: Record, value: bytes, entry: Entry) -> None:
        result: ResultEnvelope[Any] = self.setup.schemas.decode_result(self.setup.codec, value)
        source = f"{self.wiring.own_topic}/{self.partition}/{entry.offset}".encode()
        answer = self._sender.messages.answer(result, source)
        if answer is None:
            self.complete(record.offset)
            return
        self._sender.append(answer, partial(self._replied, record))

    def _replied(self, record: Record, ack: Appended | AppendFailed) -> None:
        if isinstance(ack, AppendFailed):
            self._graveyard.bury(record, ack, lambda: self.complete(record.offset))
        else:
            self.complete(record.offset)

    # -- what cannot be run ---------------------------------------------------------------------------------------

    def poison(self, record: Record, error: WireError) -> None:
        """Nobody can read it: a dead letter; with a readable id also a failed result."""
        self._received(record)
        try:
            identity = identify(record, self.setup.agent.name)
        except WireError:
            self._graveyard.bury(record, error, lambda: self.complete(record.offset))
            return
        self._reject(record, identity, error)

    def _reject(self, record: Record, identity: Identity, error: WireError) -> None:
        grant = Grant(self.setup.defaults.tenant, identity.id, self.setup.defaults.clearance)
        task = admitted(record, identity, grant, None)
        failure = StepFailure(type(error).__name__, str(error), retryable=False)
        finish = Finish(Outcome.FAILED, -1, record.timestamp, None, failure)
        live = LiveTask(record, task, TaskRun(self.setup.agent, task, self.setup.secret), self._journal.next)
        live.begun = True
        self.live[task.id] = live
        self._buffer.pop(task.id, None)
        self._graveyard.bury(record, error, lambda: None if live.ending else self._conclude(live, finish))
