"""Processors that answer one request with one record: routers, model workers, tool workers.

work → append to the own log → read what lies between → forward the *first* answer → complete (protocol sections 3, 5).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from aiosv3.schemas.errors import AiosError, WireError
from aiosv3.streams.beside import Beside, Besides, Burial, Sending
from aiosv3.streams.commit import Commit
from aiosv3.streams.deadletters import Graveyard
from aiosv3.streams.errors import (
    AppendFailed,
    AppendUnknown,
    BrokerUnavailable,
    DataLost,
    RecordTooLarge,
    Rejected,
    Retryable,
)
from aiosv3.streams.log import Appended, Committed, Outgoing, Record
from aiosv3.streams.ownlog import Entry, Learned
from aiosv3.streams.tenure import Tenure, Wiring

_LOG: Final = logging.getLogger(__name__)
_RETRY_S: Final = 0.5
_ATTEMPTS: Final = 5
_GATHER_S: Final = 0.005
"""Nobody waits for what answers make besides: sent along with each, it is in the way of the next one."""


class Request(NamedTuple):
    """One input as an effector reads it. ``first_sent``: ms, the same in every copy. ``body``: what it parsed."""

    id: str
    first_sent: int
    record: Record
    body: Any


class Unresolved(NamedTuple):
    """The input names something that must be fetched first (a schema): offered again after ``wait``."""

    wait: Awaitable[object]


class Effector(Protocol):
    """What a router or a worker does. It holds no state that matters: everything is in the two logs.

    ``work`` is called on the event loop and is cancelled when the partition goes; it raises
    :class:`~aiosv3.streams.errors.Retryable` to be called again, :class:`~aiosv3.streams.errors.Rejected` for a dead
    letter. What it returns is appended as it is, so it carries all that :meth:`forward` needs.
    """

    def read(self, record: Record) -> Request | Unresolved:
        """Parses an input; raises :class:`~aiosv3.schemas.errors.WireError` for poison."""
        ...

    def learn(self, record: Record) -> Learned:
        """Which request an own-log record answers."""
        ...

    def work(self, request: Request, epoch: int) -> Outgoing | Awaitable[Outgoing]:
        """Does the work once and returns the own-log record (``topic`` and ``partition`` are set by the runtime)."""
        ...

    def forward(self, request: Request, answer: Outgoing | Record) -> Outgoing | None:
        """Where an answer goes next: made from the own-log record, equal for every copy of it."""
        ...

    def refuse(self, request: Request, error: AiosError, epoch: int) -> Outgoing | None:
        """The failed answer for what cannot be worked on (stale, rejected, too large); None: only a dead letter."""
        ...


class StaleRequest(AiosError):
    """The own log no longer reaches back to when this request was first sent: it may have been answered (rule 13)."""


class EffectorTenure(Tenure):
    """Runs an :class:`Effector` on one partition with at most ``limit`` requests in work."""

    def __init__(
        self,
        wiring: Wiring,
        partition: int,
        committed: Committed | None,
        start: Commit,
        *,
        effector: Effector,
        limit: int,
        dead_letters: str,
        beside: Beside | None = None,
        burial: Burial | None = None,
    ) -> None:
        super().__init__(wiring, partition, committed, start)
        self._effector = effector
        self._besides = Besides(self, beside)
        self._burial = burial
        self._limit = limit
        self._graveyard = Graveyard(wiring, dead_letters)
        self._working: dict[str, float] = {}
        """Requests in work, by id, with the time of their admission (seconds of the loop)."""
        self._calls: set[asyncio.Task[None]] = set()
        self._held: deque[Request] = deque()
        self._gathered: list[Callable[[], None]] = []
        """What answers make besides, not sent yet."""

    def learn(self, record: Record) -> Learned:
        learned = self._effector.learn(record)
        if learned.id is not None:
            self._besides.found(record)
        return learned

    def own_floor(self, stored: Sequence[int]) -> int:
        return self._besides.floor(super().own_floor(stored))

    def restored(self) -> None:
        self._besides.watch()

    def room(self) -> bool:
        return len(self._working) < self._limit and not self.offsets.full()

    def halt(self) -> None:
        for call in self._calls:
            call.cancel()
        self._held.clear()
        self._gathered.clear()
        self._graveyard.close()

    # -- admission ------------------------------------------------------------------------------------------------

    def admit(self, record: Record) -> Awaitable[object] | None:
        try:
            request = self._effector.read(record)
        except WireError as error:
            self.poison(record, error)
            return None
        if isinstance(request, Unresolved):
            return request.wait
        if request.id in self._working:
            self._admitted(record)
            self.complete(record.offset)  # its first copy is in work and will be answered (rule 14)
            return None
        if self.reached != record.offset and not self.own.covers(request.first_sent):
            return self._reach(request)
        self._admitted(record)
        entry = self.own.memory.get(request.id)
        self._working[request.id] = asyncio.get_running_loop().time()
        if entry is not None:
            self.wiring.metrics.answered_again.inc()
            self.offsets.pin(record.offset, entry.offset)
            self.act(request, entry, None, mine=False)
        else:
            self._start(request)
        return None

    def _admitted(self, record: Record) -> None:
        self.wiring.metrics.received.inc()
        self.offsets.admit(record.offset, self.own.known)

    async def _reach(self, request: Request) -> None:
        if not await self.own.reach(request.first_sent) and request.id not in self.own.memory:
            # Answered without work: the answer goes on the own log, where the next admission finds it.
            error = StaleRequest(
                f"request {request.id} was first sent before the oldest record of {self.own.topic}: "
                "whether it was answered cannot be known, so it is not worked on again"
            )
            await self._refuse_first(request, error)
        self.reached = request.record.offset

    async def _refuse_first(self, request: Request, error: AiosError) -> None:
        answer = self._effector.refuse(request, error, self.epoch)
        if answer is None:
            raise WireError(str(error))
        settled: asyncio.Future[Entry | AppendFailed] = asyncio.get_running_loop().create_future()
        self._append(request, answer, lambda entry, _mine: settled.set_result(entry))
        if isinstance(failed := await settled, AppendFailed):
            raise WireError(f"{error}; its refusal: {failed}")

    def _start(self, request: Request) -> None:
        if not self.wiring.member.alive():
            self._hold(request)
            return
        outcome = self._attempt(request)
        if isinstance(outcome, Outgoing):
            self._answer(request, outcome)
        else:
            self._spawn(self._call(request, outcome), outcome)

    def _attempt(self, request: Request) -> Outgoing | Awaitable[Outgoing]:
        try:
            return self._effector.work(request, self.epoch)
        except Exception as error:  # noqa: BLE001 -- the boundary of the effector: told by whoever awaits it
            return _failed(error)

    def _hold(self, request: Request) -> None:
        """No broker has answered for a session timeout: start no call until one does (rule 6)."""
        if not self._held:
            asyncio.get_running_loop().call_later(_RETRY_S, self._release)
        self._held.append(request)

    def _release(self) -> None:
        held, self._held = self._held, deque()
        for request in held:
            self._start(request)

    def _spawn(self, work: Any, outcome: Awaitable[Outgoing] | None = None) -> None:
        call = asyncio.get_running_loop().create_task(work)
        self._calls.add(call)
        call.add_done_callback(self._called)
        if isinstance(outcome, Coroutine):  # cancelled before it began, ``work`` has not awaited it
            call.add_done_callback(lambda _: outcome.close())

    def _called(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled() and (error := call.exception()) is not None:
            _LOG.error(
                "%s[%s]: a call ended in an unexpected error",
                self.wiring.name,
                self.partition,
                exc_info=error,
            )
            self.stop(f"{type(error).__name__}: {error}")

    # -- work -----------------------------------------------------------------------------------------------------

    async def _call(self, request: Request, outcome: Awaitable[Outgoing]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._answer(request, await outcome)
                return
            except Rejected as error:
                self._give_up(request, error)
                return
            except Retryable as error:
                if attempt == _ATTEMPTS:
                    self._give_up(request, error)
                    return
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                if attempt == _ATTEMPTS:
                    self._give_up(request, AiosError("the work cancelled itself"))
                    return
            except Exception as error:  # noqa: BLE001 -- the lane's boundary: a bug in an effector is not ours to hide
                _LOG.exception("%s: request %s failed (%s of %s)", self.wiring.name, request.id, attempt, _ATTEMPTS)
                if attempt == _ATTEMPTS:
                    self._give_up(request, AiosError(f"{type(error).__name__}: {error}"))
                    return
            await asyncio.sleep(_RETRY_S * 2 ** (attempt - 1))
            outcome = self._again(request)

    async def _again(self, request: Request) -> Outgoing:
        while not self.wiring.member.alive():
            await asyncio.sleep(_RETRY_S)
        again = self._attempt(request)
        return again if isinstance(again, Outgoing) else await again

    def _give_up(self, request: Request, error: AiosError) -> None:
        answer = self._effector.refuse(request, error, self.epoch)
        letter = partial(self._bury, request.record, error)
        if answer is None:
            letter(lambda: self._finish(request))
        else:
            letter(lambda: self._answer(request, answer))

    def _answer(self, request: Request, answer: Outgoing, *, last: bool = False) -> None:
        self._append(request, answer, partial(self._answered, request, answer, last))

    def _append(
        self, request: Request, answer: Outgoing, settled: Callable[[Entry | AppendFailed, bool], object]
    ) -> None:
        if self.own_open():
            record = Outgoing(self.wiring.own_topic, self.partition, answer.key, answer.value, answer.headers)
            self.own.append(request.id, record, request.record.offset, settled)

    def own_open(self) -> bool:
        """False once the tenure has ended: nothing is appended any more."""
        return self.phase.value != "stopped"

    def _answered(
        self, request: Request, answer: Outgoing, last: bool, entry: Entry | AppendFailed, mine: bool
    ) -> None:
        if isinstance(entry, AppendFailed):
            self._unanswerable(request, entry, last=last)
        else:
            self.act(request, entry, answer, mine=mine)

    def act(self, request: Request, entry: Entry, answer: Outgoing | None, *, mine: bool) -> None:
        """``entry`` is the first record of the request, and all before it is known: act on it.

        ``answer``: what this owner has appended for the request, None if nothing; it is the entry if it is ``mine``.
        """
        if answer is not None and mine:
            self._forward(request, answer)
        else:
            self._spawn(self._answer_again(request, entry, answer))

    def _unanswerable(self, request: Request, error: AppendFailed, *, last: bool) -> None:
        """The answer itself does not fit on the log: a refusal does, or nothing does (``last``)."""
        if isinstance(error, RecordTooLarge) and not last:
            answer = self._effector.refuse(request, error, self.epoch)
            if answer is not None:
                self._answer(request, answer, last=True)
                return
        self._lose(request.record, error, lambda: self._finish(request))

    async def _answer_again(self, request: Request, entry: Entry, second: Outgoing | None) -> None:
        """``second``: what I have appended too, behind the entry."""
        while True:
            try:
                record = await self.own.record(entry)
                break
            except (AppendUnknown, BrokerUnavailable):
                await asyncio.sleep(_RETRY_S)
            except DataLost as error:
                self.fail(error)
                return
        self._forward(request, record, second)

    def _forward(self, request: Request, answer: Outgoing | Record, second: Outgoing | None = None) -> None:
        if not self.own_open():
            return
        onward = self._effector.forward(request, answer)
        beside = self._besides.of(answer, second)
        sending = Sending(1 + len(beside), partial(self._finish, request))
        self._send_on(request, onward, sending, last=False)
        for record in beside:
            if not self._gathered:
                asyncio.get_running_loop().call_later(_GATHER_S, self._send_gathered)
            self._gathered.append(partial(self._send_on, request, record, sending, last=True))

    def _send_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        for send in gathered:
            send()

    def _send_on(self, request: Request, onward: Outgoing | None, sending: Sending, *, last: bool) -> None:
        if onward is None:
            sending.sent()
        else:
            self.wiring.log.append(onward, partial(self._forwarded, request, onward, sending, last))

    def _forwarded(
        self, request: Request, onward: Outgoing, sending: Sending, last: bool, ack: Appended | AppendFailed
    ) -> None:
        if not self.own_open():
            return
        if isinstance(ack, Appended):
            sending.sent()
        elif isinstance(ack, AppendUnknown):
            self._send_on(request, onward, sending, last=last)
        elif isinstance(ack, RecordTooLarge) and not last:
            # Whoever waits must hear something: that its answer is too large for its journal.
            refusal = self._effector.refuse(request, ack, self.epoch)
            self._send_on(request, refusal and self._effector.forward(request, refusal), sending, last=True)
        else:
            self._bury(request.record, ack, sending.sent)

    def _finish(self, request: Request) -> None:
        began = self._working.pop(request.id, None)
        if began is not None:
            self.wiring.metrics.work_seconds.observe(asyncio.get_running_loop().time() - began)
        self.complete(request.record.offset)
        self.pump()

    # -- what cannot be processed ---------------------------------------------------------------------------------

    def poison(self, record: Record, error: WireError) -> None:
        self._admitted(record)
        self._lose(record, error, lambda: self.complete(record.offset))

    def _lose(self, record: Record, error: AiosError, then: Callable[[], None]) -> None:
        """Buries what gets no answer on the own log, and tells those who would wait for one for ever."""
        told = [] if self._burial is None else self._burial(record)
        sending = Sending(1 + len(told), then)
        self._bury(record, error, sending.sent)
        for outgoing in told:
            self._besides.send(outgoing, sending)

    def _bury(self, record: Record, error: AiosError, then: Callable[[], None]) -> None:
        self._graveyard.bury(record, error, lambda: then() if self.own_open() else None)


async def _failed(error: Exception) -> Outgoing:
    raise error
