"""The client for code without an event loop: Django, scripts, notebooks; also inside of a running loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, TypeVar, overload

from aiosv3.agents.agent import Agent
from aiosv3.agents.client.client import Client
from aiosv3.agents.client.ended import Ended
from aiosv3.agents.client.errors import ClientClosed
from aiosv3.agents.client.events import Event
from aiosv3.agents.client.handle import Handle
from aiosv3.schemas.topics import TaskHandle

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")
_CLOSING_S: Final = 30.0


class _Runner:
    """An event loop on a daemon thread, with one open client on it."""

    def __init__(self, client: Client) -> None:
        self.process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="aiosv3-client", daemon=True)
        self._thread.start()
        self.client = client
        try:
            self.run(client.__aenter__())
        except BaseException:
            self._end()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Blocks this thread, not the loop. What interrupts it here (Ctrl-C) cancels it there."""
        if (why := self._unusable()) is not None:
            work.close()
            raise ClientClosed(why)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ClientClosed("the client was closed; the task goes on, and its handle reopens it") from None
        except BaseException:
            future.cancel()
            raise

    def _unusable(self) -> str | None:
        if threading.current_thread() is self._thread:
            return "a SyncClient was called on its own thread: it would wait for itself"
        if self.process != os.getpid():
            return "this handle was made before the process was forked: reopen it with client.handle(str(handle))"
        if self._loop.is_closed():
            return "the client was closed; the task goes on, and its handle reopens it"
        return None

    def close(self) -> None:
        """Closes the client and ends the thread."""
        if self.process != os.getpid() or self._loop.is_closed():
            return  # the thread stayed in the process that was forked
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self.client.__aexit__(None, None, None), self._loop).result(_CLOSING_S)
        self._end()

    def _end(self) -> None:
        asyncio.run_coroutine_threadsafe(_cancel_the_rest(), self._loop).result(_CLOSING_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSING_S)
        self._loop.close()


async def _cancel_the_rest() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.get_running_loop().shutdown_default_executor()


class SyncClient:
    """As :class:`~aiosv3.agents.client.Client`, whose parameters it takes; each call blocks its caller.

    It connects with its first call, in the process that makes it: one in a module's globals survives a fork, as web
    servers do them. Any number of threads may use it. ``close`` it, or use it in a ``with``; a process that just ends
    loses nothing, as whatever was started, sent or cancelled is on the log.
    """

    def __init__(self, bootstrap: str = "", **settings: Any) -> None:
        self._make: Callable[[], Client] = partial(Client, bootstrap, **settings)
        self._make()  # refuses wrong parameters here and now
        self._lock = threading.Lock()
        self._runner: _Runner | None = None
        self._closed = False

    def __enter__(self) -> SyncClient:
        self._running()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Returns once its thread has ended. Whoever waits gets :class:`ClientClosed`."""
        with self._lock:
            runner, self._runner, self._closed = self._runner, None, True
        if runner is not None:
            runner.close()

    def _running(self) -> _Runner:
        if self._closed:
            raise ClientClosed("this client was closed: make another one")
        with self._lock:
            runner = self._runner
            if runner is None or runner.process != os.getpid():
                runner = self._runner = _Runner(self._make())
            return runner

    @overload
    def start(
        self, agent: Agent[In, Out], input: In, *, key: str | None = ..., id: str | None = ...,
        headers: Mapping[str, str] | None = ..., stream: bool = ...,
    ) -> SyncHandle[Out]: ...  # fmt: skip

    @overload
    def start(
        self, agent: str, input: Any, *, key: str | None = ..., id: str | None = ...,
        headers: Mapping[str, str] | None = ..., stream: bool = ...,
    ) -> SyncHandle[Any]: ...  # fmt: skip

    def start(self, agent: Agent[Any, Any] | str, input: Any, **options: Any) -> SyncHandle[Any]:  # noqa: A002
        """See :meth:`Client.start`."""
        runner = self._running()
        found: Handle[Any] = runner.run(runner.client.start(agent, input, **options))
        return SyncHandle(runner, found)

    @overload
    def handle(self, text: str, agent: Agent[Any, Out], *, since: datetime | None = ...) -> SyncHandle[Out]: ...

    @overload
    def handle(self, text: str, agent: None = ..., *, since: datetime | None = ...) -> SyncHandle[Any]: ...

    def handle(
        self, text: str, agent: Agent[Any, Any] | None = None, *, since: datetime | None = None
    ) -> SyncHandle[Any]:
        """See :meth:`Client.handle`."""
        runner = self._running()
        return SyncHandle(runner, runner.client.handle(text, agent, since=since))


class SyncHandle(Generic[Out]):
    """As :class:`~aiosv3.agents.client.Handle`; each call blocks its caller."""

    def __init__(self, runner: _Runner, handle: Handle[Out]) -> None:
        self._runner = runner
        self._handle = handle

    def __str__(self) -> str:
        return str(self._handle)

    def __repr__(self) -> str:
        return f"<SyncHandle {self._handle}>"

    @property
    def id(self) -> str:
        """Task id."""
        return self._handle.id

    @property
    def place(self) -> TaskHandle:
        """Agent, partition and id."""
        return self._handle.place

    def result(self, *, timeout: float | None = None) -> Out:
        """See :meth:`Handle.result`."""
        return self._runner.run(self._handle.result(timeout=timeout))

    def ended(self, *, timeout: float | None = None) -> Ended[Out]:
        """See :meth:`Handle.ended`."""
        return self._runner.run(self._handle.ended(timeout=timeout))

    def cancel(self) -> None:
        """See :meth:`Handle.cancel`."""
        self._runner.run(self._handle.cancel())

    def send(self, name: str, content: Any, *, id: str | None = None) -> str:  # noqa: A002
        """See :meth:`Handle.send`."""
        return self._runner.run(self._handle.send(name, content, id=id))

    def events(self, *, after: str | None = None) -> Iterator[Event]:
        """See :meth:`Handle.events`."""
        events = self._handle.events(after=after)

        async def following() -> Event | None:
            return await anext(events, None)

        async def close() -> None:
            await events.aclose()

        try:
            while (event := self._runner.run(following())) is not None:
                yield event
        finally:
            with suppress(ClientClosed):
                self._runner.run(close())
