"""A TCP relay on loopback that misbehaves when told to: what a bad network does to connections.

It runs on a thread of its own. Faults hold for all connections, those there are and those to come, until they are taken
back with :meth:`Relay.heal`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, replace
from typing import Final

from aiosv3.app.localstack.ports import LOOPBACK

_CHUNK: Final = 16_384
_READY_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Weather:
    """``latency``: seconds each chunk is held. ``rate``: bytes a second, each way (0: no limit). ``silent``: connects
    and nothing passes, as if half-open. ``refused``: no connection is taken. ``slow_close``: seconds until the other
    side hears that one side has closed.
    """

    latency: float = 0.0
    rate: int = 0
    silent: bool = False
    refused: bool = False
    slow_close: float = 0.0


class Relay:
    """From ``port`` (a free one) to ``target``, both on loopback."""

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self.port = port
        self.weather = Weather()
        self._open: set[asyncio.StreamWriter] = set()
        self._loop: asyncio.AbstractEventLoop
        self._ending: asyncio.Event
        self._thread: threading.Thread

    def start(self) -> None:
        """Returns when it listens."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True, name="relay")
        self._thread.start()
        if not ready.wait(_READY_S):
            raise TimeoutError("the relay does not listen")

    def change(self, **how: float | bool) -> None:
        """From now on the weather is the fair one with these differences."""
        self.weather = replace(Weather(), **how)  # type: ignore[arg-type]

    def change_and_cut(self, **how: float | bool) -> None:
        """And whoever is connected has to come again."""
        self.change(**how)
        self.cut()

    def heal(self) -> None:
        """All passes again."""
        self.weather = Weather()

    def cut(self) -> None:
        """Resets every connection there is, with whatever is on its way."""
        self._loop.call_soon_threadsafe(self._cut)

    def close(self) -> None:
        """Cuts all, listens no more."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(_READY_S)

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._client, LOOPBACK, self.port, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._ending.wait()
        server.close()
        self._cut()

    def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.weather.refused:
            writer.transport.abort()
            return
        try:
            there, to_there = await asyncio.open_connection(LOOPBACK, self.target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, to_there}
        try:
            with contextlib.suppress(asyncio.CancelledError):  # the end of the relay is the end of all
                await asyncio.gather(self._pass(reader, to_there), self._pass(there, writer))
        finally:
            self._open -= {writer, to_there}
            writer.close()
            to_there.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self._held(len(chunk))
                writer.write(chunk)
                await writer.drain()
        await asyncio.sleep(self.weather.slow_close)
        with contextlib.suppress(OSError):
            writer.close()

    async def _held(self, size: int) -> None:
        weather = self.weather
        while weather.silent:
            await asyncio.sleep(0.05)
            weather = self.weather
        if pause := weather.latency + (size / weather.rate if weather.rate else 0.0):
            await asyncio.sleep(pause)
