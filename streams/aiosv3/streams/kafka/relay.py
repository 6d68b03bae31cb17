"""From a member's thread to the listener on the event loop: in order, one wake-up of the loop a call."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from aiosv3.streams.log import Committed, Listener, Record, Start

_LOG = logging.getLogger("aiosv3.streams.kafka")
_AHEAD: Final = 5_000
_ANSWER: Final = 5.0
_HELD_S: Final = 1.0


class Assignment(NamedTuple):
    """The arguments of :meth:`Listener.assigned`."""

    partition: int
    start: Start | None
    committed: Committed | None


class Relay:
    """Public methods are for the thread, except :attr:`owns`, which the loop reads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: Listener) -> None:
        self._loop = loop
        self._listener = listener
        self._sent = 0  # written by the thread
        self._taken = 0  # written by the loop
        self._open = True
        self._held: list[tuple[Callable[..., object], tuple[object, ...]]] = []
        self._hold_until: float | None = None
        self._caught_up = threading.Event()
        self.owns: set[int] = set()
        """Partitions that the listener has been given and not been asked back."""

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Runs ``function`` on the loop, after all that was sent before it."""
        if self._hold_until is not None:
            self._held.append((function, arguments))
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._pass, function, arguments)

    def hold(self) -> None:
        """Passes nothing on until :meth:`release`, which does it in its order."""
        if self._hold_until is None:
            self._hold_until = time.monotonic() + _HELD_S

    def holds(self) -> bool:
        """Not for longer than a second."""
        if self._hold_until is not None and time.monotonic() >= self._hold_until:
            self.release()
        return self._hold_until is not None

    def release(self) -> None:
        """Passes on what was held."""
        held, self._held, self._hold_until = self._held, [], None
        for function, arguments in held:
            self.call(function, *arguments)

    def settle(self, future: asyncio.Future[bool], *, value: bool) -> None:
        """Answers a coroutine, unless it was cancelled meanwhile."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_settle, future, value)

    def assigned(self, assignments: Sequence[Assignment]) -> None:
        self.call(self._assigned, assignments)

    def records(self, records: Sequence[Record]) -> None:
        self._sent += len(records)
        self.call(self._records, records)

    def lost(self, partitions: Iterable[int]) -> None:
        self.call(self._lost, list(partitions))

    def revoked(self, partitions: Sequence[int]) -> dict[int, Committed | None]:
        """Waits for the last commits; a loop that does not answer within 5 s gives none."""
        self.release()
        answer: concurrent.futures.Future[dict[int, Committed | None]] = concurrent.futures.Future()
        self.call(self._revoked, partitions, answer)
        try:
            return answer.result(_ANSWER)
        except concurrent.futures.TimeoutError:
            _LOG.warning("the event loop stood still for %g s: %s let go without a commit", _ANSWER, partitions)
            return {}

    def wait_if_behind(self, seconds: float) -> bool:
        """True (after a wait) while the loop still has thousands of records before it: give it no more."""
        if self.holds():  # what releases it comes with the next read
            return False
        if self._sent - self._taken <= _AHEAD:
            return False
        self._caught_up.clear()
        if self._sent - self._taken > _AHEAD:
            self._caught_up.wait(seconds)
        return True

    def hang_up(self) -> None:
        """On the loop: whatever the thread says from now on is not passed on; what is still owned is lost."""
        self._open = False
        self._lost(sorted(self.owns))

    def _pass(self, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
        if self._open:
            function(*arguments)

    def _assigned(self, assignments: Sequence[Assignment]) -> None:
        for assignment in assignments:
            self.owns.add(assignment.partition)
            self._listener.assigned(*assignment)

    def _records(self, records: Sequence[Record]) -> None:
        try:
            self._listener.records(records)
        finally:
            self._taken += len(records)
            self._caught_up.set()

    def _lost(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self.owns.discard(partition)
            self._listener.lost(partition)

    def _revoked(
        self, partitions: Sequence[int], answer: concurrent.futures.Future[dict[int, Committed | None]]
    ) -> None:
        finals: dict[int, Committed | None] = {}
        try:
            for partition in partitions:
                self.owns.discard(partition)
                finals[partition] = self._listener.revoked(partition)
        finally:
            answer.set_result(finals)


def _settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
