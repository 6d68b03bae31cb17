"""A way to a broker which answers, while it is told to, that the cluster has no brokers.

So does one that has just started, or that its controller has fenced after it stood still.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

_HOST: Final = "127.0.0.1"
_METADATA: Final = 3
_FLEXIBLE: Final = 9  # from this version of Metadata on, arrays and strings are compact (KIP-482)
_BROKERS_AT: Final = 9  # behind the correlation id, no tags, and the throttle time


class Nameless:
    """From ``bootstrap`` to the broker at ``target``. Answers name this way in its place."""

    def __init__(self, target: str) -> None:
        self._target = int(target.rpartition(":")[2])
        self._port = 0
        self._passing = asyncio.Event()
        self._passing.set()
        self._ways: set[asyncio.StreamWriter] = set()
        self.names_none = False
        self.named_none = 0
        self.asked = asyncio.Event()
        self.told = asyncio.Event()

    @property
    def bootstrap(self) -> str:
        return f"{_HOST}:{self._port}"

    def stand_still(self) -> None:
        """No answer passes until :meth:`go_on`."""
        self._passing.clear()

    def go_on(self) -> None:
        self._passing.set()

    def cut(self) -> None:
        """Resets all connections."""
        for way in self._ways:
            way.transport.abort()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Nameless]:
        server = await asyncio.start_server(self._client, _HOST, 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._passing.set()
            self.cut()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, broker = await asyncio.open_connection(_HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        self._ways |= {writer, broker}
        asked: dict[bytes, int] = {}
        with suppress(asyncio.CancelledError):
            await asyncio.gather(self._ask(reader, broker, asked), self._answer(answers, writer, asked))
        self._ways -= {writer, broker}

    async def _ask(self, reader: asyncio.StreamReader, broker: asyncio.StreamWriter, asked: dict[bytes, int]) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _frame(reader)
                kind, version = struct.unpack(">hh", frame[:4])
                if kind == _METADATA and version >= _FLEXIBLE:
                    asked[frame[4:8]] = version
                    self.asked.set()
                await _pass(broker, frame)
        broker.close()

    async def _answer(
        self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: dict[bytes, int]
    ) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _frame(answers)
                await self._passing.wait()
                mine = _HOST.encode() + struct.pack(">i", self._port)
                frame = frame.replace(_HOST.encode() + struct.pack(">i", self._target), mine)
                if asked.pop(frame[:4], None) is not None and self.names_none:
                    frame = _without_brokers(frame)
                    self.named_none += 1
                    self.told.set()
                await _pass(writer, frame)
        writer.close()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(struct.unpack(">i", await reader.readexactly(4))[0])


async def _pass(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(struct.pack(">i", len(frame)) + frame)
    await writer.drain()


def _without_brokers(answer: bytes) -> bytes:
    """Each has an id, a host, a port, a rack that is null here, and no tags; few enough for lengths of one byte."""
    end = _BROKERS_AT + 1
    for _ in range(answer[_BROKERS_AT] - 1):
        end += 4
        end += answer[end]  # the length and one, which counts the byte itself
        end += 4 + 1 + 1
    return answer[:_BROKERS_AT] + b"\x01" + answer[end:]
