"""One ownership of one partition: marker, restore, admission, commits, and how it ends (protocol sections 3, 4, 8).

The common part of every processor. :mod:`aiosv3.streams.effector` builds routers, model and tool workers on it, and
``aiosv3.agents`` the agent worker with its journal.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final

from aiosv3.schemas.errors import AiosError, RegistryUnavailable, WireError
from aiosv3.schemas.headers import CE_ID, CE_SOURCE, CE_TYPE
from aiosv3.streams.commit import Commit
from aiosv3.streams.errors import AppendFailed, AppendUnknown, BrokerUnavailable, DataLost, KeysUnavailable
from aiosv3.streams.log import Appended, Committed, Headers, Log, Member, Outgoing, Record
from aiosv3.streams.metrics import ProcessorMetrics
from aiosv3.streams.offsets import SET_ROOM, Offsets
from aiosv3.streams.ownlog import Learned, OwnLog

OWNER_TYPE: Final = "aiosv3.owner"
_OWNER_BYTES: Final = OWNER_TYPE.encode()
OWN_KEPT_MS: Final = 7 * 24 * 3_600_000
"""Own logs are kept for longer than this, as inputs are not (rule 11)."""
_RETRY_S: Final = 0.5
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wiring:
    """What every tenure of one processor shares. ``clock`` gives milliseconds since the epoch."""

    name: str
    input_topic: str
    own_topic: str
    journal_topic: str | None
    log: Log
    member: Member
    clock: Callable[[], int]
    metrics: ProcessorMetrics
    inbox_limit: int = 2_000
    set_room: int = SET_ROOM
    """Characters of a commit that the set of finished inputs may take (rule 8)."""
    own_kept_ms: int = OWN_KEPT_MS
    marks_own: bool = False
    """Markers go to the own log although there is a journal: whoever decides by its order must find them there."""

    @property
    def marker_topic(self) -> str:
        """Markers live in an agent's journal, so that outsiders read clean results; else in the own log."""
        return self.own_topic if self.journal_topic is None or self.marks_own else self.journal_topic


class Phase(Enum):
    """Where an ownership stands."""

    RESTORING = "restoring"
    RUNNING = "running"
    STOPPED = "stopped"


def marker(name: str) -> tuple[str, Headers]:
    """A fresh ownership marker: its id and its headers (the value is null)."""
    fresh = str(uuid.uuid4())
    return fresh, [
        (CE_ID, fresh.encode()),
        (CE_SOURCE, name.encode()),
        (CE_TYPE, _OWNER_BYTES),
    ]


async def appended(log: Log, record: Outgoing) -> Appended:
    """Appends and waits for the acknowledgement; raises the :class:`AppendFailed` it gets instead."""
    future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

    def done(ack: Appended | AppendFailed) -> None:
        if future.done():
            return
        if isinstance(ack, AppendFailed):
            future.set_exception(ack)
        else:
            future.set_result(ack)

    log.append(record, done)
    return await future


async def all_appended(log: Log, records: Sequence[Outgoing]) -> None:
    """Appends them and waits until each has ended; then raises the first :class:`AppendFailed` there was."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    acks: list[Appended | AppendFailed] = []

    def done(ack: Appended | AppendFailed) -> None:
        acks.append(ack)
        if len(acks) == len(records) and not ended.done():
            ended.set_result(None)

    for record in records:
        log.append(record, done)
    if records:
        await ended
    for ack in acks:
        if isinstance(ack, AppendFailed):
            raise ack


def _close(wait: Awaitable[object], _: object) -> None:
    """An admission that was cancelled before its first step never awaited what it was given."""
    if asyncio.iscoroutine(wait):
        wait.close()


class Tenure(ABC):
    """Lives from an assignment to its end; a new assignment of the same partition is a new tenure.

    Everything runs on one event loop. After :meth:`stop` it starts nothing, appends nothing and commits nothing.
    """

    def __init__(self, wiring: Wiring, partition: int, committed: Committed | None, start: Commit) -> None:
        self.wiring = wiring
        self.partition = partition
        self.found = committed
        self.start = start
        self.phase = Phase.RESTORING
        self.reason = ""
        self.epoch = -1
        self.offsets = Offsets(start, wiring.set_room)
        self.own = OwnLog(
            wiring.log,
            wiring.own_topic,
            partition,
            self._learn,
            self.offsets.pin,
            self.fail,
            self._contest,
            lambda: wiring.clock() - wiring.own_kept_ms,
        )
        self.contested: Callable[[], None] = lambda: None
        """Called when another owner's marker appears above mine (rule 2); set by the processor."""
        self.settled_in: Callable[[], None] = lambda: None
        """Called once, when the first commit may be made; set by the processor."""
        self.transactional = False
        """Answers go to the own log in transactions, so that an earlier owner can add none; set before it begins."""
        self._announced = False
        self.draining = False
        self.marker_seen = False
        """True once my marker was read back: everything that was on the log before I took the partition is known."""
        self.reached = -1
        """The input whose duplicates were looked for as far back as the own log goes (rule 13)."""
        self._markers: set[bytes] = set()
        self._inbox: deque[Record] = deque()
        self._flowing = True
        self._pumping = False
        self._admitting: asyncio.Task[None] | None = None
        self._restoring: asyncio.Task[None] | None = None

    # -- to be filled in ------------------------------------------------------------------------------------------

    @abstractmethod
    def learn(self, record: Record) -> Learned:
        """What an own-log record answers. Markers never get here."""

    @abstractmethod
    def admit(self, record: Record) -> Awaitable[object] | None:
        """Takes one input. Returns what has to be waited for before it is offered again, or None when it was taken."""

    @abstractmethod
    def poison(self, record: Record, error: WireError) -> None:
        """An input that nobody can read: dead letter, then complete."""

    @abstractmethod
    def room(self) -> bool:
        """True while one more input may be admitted."""

    def ready(self) -> bool:
        """True when inputs may be admitted at all."""
        return self.phase is Phase.RUNNING and not self.draining

    def passing(self, offset: int) -> None:
        """The input at ``offset`` is about to be admitted, or skipped because it is finished: in offset order."""

    def marks(self) -> Headers:
        """Headers that my markers have beside their own."""
        return []

    def journaled(self, record: Record) -> None:
        """A record of the journal partition, in offset order."""

    def journal_floor(self, stored: Sequence[int]) -> int:
        """Bbase (rule 10) against the set that is stored."""
        return -1

    def own_floor(self, stored: Sequence[int]) -> int:
        """T (rule 9) against the set that is stored."""
        return self.offsets.own_floor(self.own.known, stored)

    def stuck(self) -> Mapping[str, str]:
        """What is open and cannot go on with the code that is here, by id, and why."""
        return {}

    def parked(self) -> tuple[int, int]:
        """How many tasks are parked, and how many of them sleep."""
        return 0, 0

    def may_commit(self) -> bool:
        """False until everything that a commit would speak about has been read (rule 10)."""
        return self.phase is Phase.RUNNING

    def halt(self) -> None:
        """Stops calls and coroutines of this partition, at once and without sending anything."""

    def idle(self) -> bool:
        """True when nothing that was admitted is unfinished."""
        return self.offsets.open == 0

    # -- life -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Starts the restore (protocol section 8) in the background."""
        self._restoring = asyncio.get_running_loop().create_task(self._restore())

    async def _restore(self) -> None:
        wiring = self.wiring
        while self.phase is Phase.RESTORING:
            try:
                self.epoch = await self._take()
                own = await wiring.log.bounds(wiring.own_topic, self.partition)
                end = self.epoch + 1 if wiring.marker_topic == wiring.own_topic else own.end
                await self.recover(max(self.start.own, own.start), end)
                break
            except DataLost as error:
                self.fail(error)
                return
            except AiosError as error:
                _LOG.warning("%s[%s]: restore again in a moment: %s", wiring.name, self.partition, error)
                await asyncio.sleep(_RETRY_S)
        if self.phase is Phase.RESTORING:
            self.phase = Phase.RUNNING
            self.restored()
            self.pump()

    async def recover(self, start: int, end: int) -> None:
        """Reads the own log in ``[start, end)``, and what else has to be known before inputs are admitted."""
        await self.own.restore(start, end)

    def restored(self) -> None:
        """The own log has been read up to the marker; inputs are admitted from here on."""

    async def _take(self) -> int:
        """Appends my marker and waits for its offset: never "to the high watermark" (rule 1)."""
        if self.transactional:
            await self.own.fence()
        return (await appended(self.wiring.log, self._marker())).offset

    def _marker(self) -> Outgoing:
        fresh, headers = marker(self.wiring.name)
        self._markers.add(fresh.encode())
        return Outgoing(self.wiring.marker_topic, self.partition, None, None, [*headers, *self.marks()])

    def _contest(self) -> None:
        self.contested()

    def mark_again(self) -> None:
        """Appends another marker of mine, so that nobody has to go back to the first one. It changes nothing else."""
        self.wiring.log.append(self._marker(), lambda _ack: None)

    def _learn(self, record: Record) -> Learned:
        if self.is_marker(record):
            return Learned(None, -1)
        return self.learn(record)

    def is_marker(self, record: Record) -> bool:
        """True for an ownership marker; one of somebody else's above mine contests this tenure (rule 2)."""
        if record.value is not None or record.header(CE_TYPE) != _OWNER_BYTES:
            return False
        if record.header(CE_ID) in self._markers:
            self.marker_seen = True
            self.epoch = record.offset
        elif 0 <= self.epoch < record.offset:
            self.contested()
        return True

    def stop(self, reason: str = "revoked") -> None:
        """Ends the tenure, synchronously. What is on its way to the log may still land."""
        if self.phase is Phase.STOPPED:
            return
        self.phase = Phase.STOPPED
        self.reason = reason
        self.own.close()
        for task in (self._admitting, self._restoring):
            if task is not None:
                task.cancel()
        self._inbox.clear()
        self.halt()

    def fail(self, error: AiosError) -> None:
        """A named stop: this partition is held until somebody acts; the others go on."""
        _LOG.error("%s[%s] stops: %s", self.wiring.name, self.partition, error)
        self.stop(f"{type(error).__name__}: {error}")
        self.wiring.member.flow(self.wiring.input_topic, self.partition, on=False)

    # -- input ----------------------------------------------------------------------------------------------------

    def take(self, record: Record) -> None:
        """An input record as it came from the log; call :meth:`pump` after a batch of them."""
        if self.phase is not Phase.STOPPED:
            self._inbox.append(record)

    def pump(self) -> None:
        """Admits what may be admitted, in offset order, and holds or lets go the flow of the partition."""
        if self._pumping:
            return
        if not self._announced and self.may_commit():
            self._announced = True
            self.settled_in()
        self._pumping = True
        inbox = self._inbox
        try:
            while inbox and self._admitting is None and self.ready() and self.room():
                self._offer(inbox.popleft())
        finally:
            self._pumping = False
        self._steer_flow()

    def _offer(self, record: Record) -> None:
        try:
            self.passing(record.offset)
            if self.offsets.finished(record.offset):
                self.offsets.skip(record.offset)
                return
            wait = self.admit(record)
        except Exception as error:  # noqa: BLE001 -- the lane's boundary
            # The next record would take this one for a hole and call it finished: stop instead.
            _LOG.exception("%s[%s]@%s was not admitted", self.wiring.name, self.partition, record.offset)
            self.fail(AiosError(f"input {record.offset}: {type(error).__name__}: {error}"))
            return
        if wait is not None:
            self._admitting = asyncio.get_running_loop().create_task(self._admit_later(record, wait))
            self._admitting.add_done_callback(partial(_close, wait))

    async def _admit_later(self, record: Record, wait: Awaitable[object] | None) -> None:
        while wait is not None and self.phase is not Phase.STOPPED:
            try:
                await wait
            except (RegistryUnavailable, AppendUnknown, BrokerUnavailable, KeysUnavailable) as error:
                _LOG.warning("%s[%s] waits: %s", self.wiring.name, self.partition, error)
                await asyncio.sleep(_RETRY_S)
            except WireError as error:
                self.poison(record, error)
                break
            except AiosError as error:
                self.fail(error)
                return
            wait = self.admit(record)
        self._admitting = None
        self.pump()

    def _steer_flow(self) -> None:
        waiting, limit = len(self._inbox), self.wiring.inbox_limit
        on = waiting < limit if self._flowing else waiting < limit // 4
        if on != self._flowing and self.phase is not Phase.STOPPED:
            self._flowing = on
            self.wiring.member.flow(self.wiring.input_topic, self.partition, on=on)

    def complete(self, offset: int) -> None:
        """The input is finished: its answer is on the own log and has been forwarded, both acknowledged."""
        if self.phase is not Phase.STOPPED:
            self.offsets.complete(offset)
            self.wiring.metrics.completed.inc()
            if self._inbox:
                self.pump()

    # -- commits --------------------------------------------------------------------------------------------------

    def snapshot(self) -> Commit | None:
        """All fields from one moment (rule 7); None while nothing may be said (rule 10)."""
        if not self.may_commit():
            return None
        stored = self.offsets.stored()
        return Commit(
            base=self.offsets.base,
            epoch=self.epoch,
            own=self.own_floor(stored),
            journal=self.journal_floor(stored),
            completed=stored,
        )
