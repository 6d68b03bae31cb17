"""A tiny deterministic asyncio loop without I/O: who drives it decides when anything happens.

It never blocks and never looks at the wall clock: :meth:`DeterministicLoop.run_until_idle` runs what is ready and
returns, also from inside another running loop (nested, even within one of its tasks). Given the same calls in the same
order it runs the same callbacks in the same order, on every Python from 3.11: tasks and futures hash by their creation,
so that sets of them (``asyncio.wait``, ``TaskGroup``) iterate alike in every run. One thing in asyncio stays
undetermined: ``as_completed``, given bare coroutines, starts them by their addresses.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context
from typing import Any, Final, TypeVar, TypeVarTuple

from aiosv3.schemas.errors import AiosError

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_Coro = Coroutine[Any, Any, _T] | Generator[Any, None, _T]
_Context = dict[str, Any]  # what asyncio tells an exception handler
_Around = tuple[asyncio.AbstractEventLoop | None, Any, Any]  # the loop, task and generator hooks around a run

_PRUNE: Final = 8  # tasks, cancelled timers, used-up slots: cleaned when so many, and the half, are waste
_CLOSINGS: Final = 32  # a dropped coroutine may await this often in its finally blocks before it is left to itself

# Python 3.14 knows one current task a thread, no longer one a loop; 3.11 has nothing to swap.
_swap_current_task: Callable[[Any, Any], Any] | None = getattr(asyncio.tasks, "_swap_current_task", None)


class OutsideLoop(AiosError):
    """Code on a deterministic loop asked for the outside: a thread, a socket, a process."""


class Livelock(AiosError):
    """The callbacks of a loop keep each other busy: it did not become idle within its number of steps."""


class _Outside:
    """A method of the loop that ends in :meth:`DeterministicLoop.outside`, under its own name."""

    def __set_name__(self, owner: type, name: str) -> None:
        def refuse(loop: DeterministicLoop, *_args: Any, **_settings: Any) -> Any:
            return loop.outside(name)

        refuse.__name__ = name
        setattr(owner, name, refuse)


_unique: Final = itertools.count()


class _Future(asyncio.Future[_T]):
    __slots__ = ("_serial",)

    def __init__(self, serial: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._serial = serial

    def __hash__(self) -> int:
        return self._serial


class _Task(asyncio.Task[_T]):
    __slots__ = ("_serial",)

    def __init__(self, coro: _Coro[_T], serial: int, **settings: Any) -> None:
        # Task.__init__ puts the task into asyncio's set of all tasks, of every loop: there it needs a hash of its own.
        self._serial = next(_unique)
        super().__init__(coro, **settings)
        self._serial = serial

    def __hash__(self) -> int:
        return self._serial


class DeterministicLoop(asyncio.AbstractEventLoop):
    """Runs asyncio code step by step, by hand.

    ``clock`` gives the loop's time in seconds; timers fire in :meth:`run_due` only. ``pick(n)`` chooses which
    of ``n`` ready callbacks runs next (0 is the oldest); without it they run first in, first out, as asyncio
    promises. ``handler(context)`` gets what asyncio reports to a loop's exception handler; without it the
    contexts are kept in ``exceptions``. Not thread-safe.

    What needs the outside (executors, sockets, signals, threads, ``run_forever``) ends in :meth:`outside`.
    """

    __slots__ = (
        "_cancelled_timers",
        "_clock",
        "_closed",
        "_handler",
        "_head",
        "_pick",
        "_prune_at",
        "_ready",
        "_running",
        "_serial",
        "_tasks",
        "_timers",
        "exceptions",
    )

    def __init__(
        self,
        clock: Callable[[], float],
        pick: Callable[[int], int] | None = None,
        handler: Callable[[_Context], object] | None = None,
    ) -> None:
        self._clock = clock
        self._pick = pick
        self._handler = handler
        self._ready: list[asyncio.Handle | None] = []  # a deque costs 700 bytes when empty
        self._head = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._cancelled_timers = 0
        self._tasks: list[_Task[Any]] = []
        self._prune_at = _PRUNE
        self._serial = 0
        self._running = False
        self._closed = False
        self.exceptions: list[_Context] = []

    # ---- driving

    def run_until_idle(self, max_steps: int = 1_000_000) -> int:
        """Runs ready callbacks until none is left; returns how many ran. Timers stay (see :meth:`run_due`).

        Raises :class:`Livelock` after ``max_steps`` callbacks; the rest stays ready.
        """
        steps = 0
        around = self._enter()
        try:
            while (handle := self._next()) is not None:
                if steps >= max_steps:
                    self._ready.insert(self._head, handle)
                    raise Livelock(f"still busy after {steps} callbacks; the next one is {handle!r}")
                steps += 1
                handle._run()  # noqa: SLF001 -- the driving half of asyncio's Handle
        finally:
            self._leave(around)
        return steps

    def run_one(self) -> bool:
        """Runs one ready callback; False if none is ready."""
        handle = self._next()
        if handle is None:
            return False
        around = self._enter()
        try:
            handle._run()  # noqa: SLF001
        finally:
            self._leave(around)
        return True

    def idle(self) -> bool:
        """True if nothing is ready to run now; timers may be waiting."""
        return self._head == len(self._ready)

    def next_timer(self) -> float | None:
        """When the earliest timer is due (seconds of this loop's clock), or None."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
            self._cancelled_timers -= 1
        return timers[0][0] if timers else None

    def run_due(self) -> int:
        """Makes the timers ready that are due, in order of (when, call); returns how many. Runs nothing."""
        now, moved = self._clock(), 0
        while (when := self.next_timer()) is not None and when <= now:
            self._ready.append(heapq.heappop(self._timers)[2])
            moved += 1
        return moved

    def outside(self, name: str) -> Any:
        """Called for the loop method ``name``, which needs the outside. Subclasses raise what they like."""
        raise OutsideLoop(f"{name}() needs the world outside, which a deterministic event loop does not have")

    # ---- asyncio's side

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._clock() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if not self._closed:
            timer._scheduled = True  # type: ignore[attr-defined] # noqa: SLF001 -- cancel() tells us
            heapq.heappush(self._timers, (when, self._count(), timer))
        return timer

    def time(self) -> float:
        return self._clock()

    def create_future(self) -> asyncio.Future[Any]:
        return _Future(self._count(), self)

    def create_task(
        self, coro: _Coro[_T], *, name: str | None = None, context: Context | None = None, **_ignored: Any
    ) -> asyncio.Task[_T]:
        """As asyncio's; ``eager_start`` is ignored. Unnamed tasks are numbered by loop, not by process.

        The loop holds its tasks, so that none is collected in the middle of its work.
        """
        serial = self._count()
        task = _Task(coro, serial, loop=self, name=name or f"Task-{serial}", context=context)
        if len(self._tasks) >= self._prune_at:
            self._tasks = [task for task in self._tasks if not task.done()]
            self._prune_at = max(_PRUNE, 2 * len(self._tasks))
        self._tasks.append(task)
        return task

    def get_task_factory(self) -> None:
        return None

    def get_exception_handler(self) -> None:
        return None

    def default_exception_handler(self, context: _Context) -> None:
        self.exceptions.append(context)

    def call_exception_handler(self, context: _Context) -> None:
        """Passes ``context`` to the handler given at construction. A closed loop says nothing more."""
        if not self._closed:
            (self._handler or self.default_exception_handler)(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Drops everything that is ready or waits, for good and in silence; later calls schedule nothing.

        The coroutines of waiting tasks are closed here, newest first, so that their ``finally`` blocks run
        now and not whenever the garbage collector finds them; what these blocks raise or wait for is ignored.
        """
        if self._closed:
            return
        if self._running:
            raise RuntimeError("a running event loop cannot be closed")
        waiting = [task for task in self._tasks if not task.done()]
        self._tasks = []
        self._closed = True
        self._ready.clear()
        self._head = 0
        self._timers.clear()
        if not waiting:
            return
        around = self._enter()
        try:
            for task in reversed(waiting):
                _drop(task)
        finally:
            self._leave(around)

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: generators are closed by the loop when they are collected."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Nothing to do: there is no executor."""

    # ---- the outside

    add_reader: Any = _Outside()
    add_signal_handler: Any = _Outside()
    add_writer: Any = _Outside()
    call_soon_threadsafe: Any = _Outside()
    connect_accepted_socket: Any = _Outside()
    connect_read_pipe: Any = _Outside()
    connect_write_pipe: Any = _Outside()
    create_connection: Any = _Outside()
    create_datagram_endpoint: Any = _Outside()
    create_server: Any = _Outside()
    create_unix_connection: Any = _Outside()
    create_unix_server: Any = _Outside()
    getaddrinfo: Any = _Outside()
    getnameinfo: Any = _Outside()
    remove_reader: Any = _Outside()
    remove_signal_handler: Any = _Outside()
    remove_writer: Any = _Outside()
    run_forever: Any = _Outside()
    run_in_executor: Any = _Outside()
    run_until_complete: Any = _Outside()
    sendfile: Any = _Outside()
    set_debug: Any = _Outside()
    set_default_executor: Any = _Outside()
    set_exception_handler: Any = _Outside()
    set_task_factory: Any = _Outside()
    sock_accept: Any = _Outside()
    sock_connect: Any = _Outside()
    sock_recv: Any = _Outside()
    sock_recv_into: Any = _Outside()
    sock_recvfrom: Any = _Outside()
    sock_recvfrom_into: Any = _Outside()
    sock_sendall: Any = _Outside()
    sock_sendfile: Any = _Outside()
    sock_sendto: Any = _Outside()
    start_tls: Any = _Outside()
    stop: Any = _Outside()
    subprocess_exec: Any = _Outside()
    subprocess_shell: Any = _Outside()

    # ---- inside

    def _count(self) -> int:
        self._serial += 1
        return self._serial

    def _next(self) -> asyncio.Handle | None:
        """Takes the next callback that was not cancelled out of the queue."""
        while (waiting := len(self._ready) - self._head) > 0:
            at = self._head + (self._pick(waiting) if self._pick else 0)
            handle = self._ready[at]
            if at == self._head:
                self._ready[at] = None
                self._head += 1
            else:
                del self._ready[at]
            if self._head == len(self._ready) or self._head > _PRUNE + len(self._ready) // 2:
                del self._ready[: self._head]
                self._head = 0
            if handle is not None and not handle.cancelled():
                return handle
        return None

    def _enter(self) -> _Around:
        if self._running:
            raise RuntimeError("this event loop is running already")
        outer = asyncio._get_running_loop()  # noqa: SLF001 -- asyncio's documented hooks for writers of loops
        task = asyncio.current_task() if _swap_current_task and outer else None
        if _swap_current_task and task:
            _swap_current_task(outer, None)
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, self._finalize)
        asyncio._set_running_loop(self)  # noqa: SLF001
        self._running = True
        return outer, task, hooks

    def _leave(self, around: _Around) -> None:
        outer, task, hooks = around
        self._running = False
        asyncio._set_running_loop(outer)  # noqa: SLF001
        sys.set_asyncgen_hooks(*hooks)
        if _swap_current_task and task:
            _swap_current_task(outer, task)

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        """A generator was collected half way: its finally blocks run on this loop, not on an outer one."""
        if not self._closed:
            self.call_soon(lambda: self.create_task(generator.aclose()))

    def _timer_handle_cancelled(self, _handle: asyncio.TimerHandle) -> None:
        """Called by asyncio's TimerHandle. Most timeouts are cancelled: they must not pile up until due."""
        self._cancelled_timers += 1
        if self._cancelled_timers > _PRUNE and self._cancelled_timers * 2 > len(self._timers):
            self._timers = [timer for timer in self._timers if not timer[2].cancelled()]
            heapq.heapify(self._timers)
            self._cancelled_timers = 0


def _drop(task: asyncio.Task[Any]) -> None:
    coro: Any = task.get_coro()
    for _ in range(_CLOSINGS):
        with suppress(BaseException):  # code of a task that nobody waits for any more
            coro.close()
            break
    for future in (task, task._fut_waiter):  # type: ignore[attr-defined] # noqa: SLF001 -- they hold each other
        for callback, _ in list(getattr(future, "_callbacks", None) or ()):
            future.remove_done_callback(callback)
