"""A model server that does wrong, byte for byte as told, and the prompts to ask it."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from aiosv3.router.endpoints.endpoint import Call
from aiosv3.schemas.records import Message, Prompt, Role

_OF_CALL = ("model", "timeout_s", "on_text", "on_dropped", "tenant", "priority")
End = Literal["keep", "close", "reset", "stall", "endless"]


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class MisbehavingServer:
    """Answers each request with the next script. ``gone`` is set when a client leaves a stalled or endless answer."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    scripts: list[tuple[list[bytes], End]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def raw(self, *pieces: bytes, end: End = "close") -> None:
        """The next answer, as bytes on the wire."""
        self.scripts.append((list(pieces), end))

    def reply(self, status: int, body: bytes | object = b"", headers: Mapping[str, str] | None = None) -> None:
        """The next answer is a plain reply; a body that is not bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
        head = f"HTTP/1.1 {status} Status\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        self.raw(head.encode(), content, end="keep")

    def stream(self, *pieces: bytes, end: End = "keep", kind: str = "text/event-stream") -> None:
        """The next answer is a chunked stream. Only ``keep`` sends the last, empty chunk."""
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
        self.raw(head, *chunks, *([b"0\r\n\r\n"] if end == "keep" else []), end=end)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._exchange(reader, writer):
                pass
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.requests.append(await _read_request(reader))
        self.asked.set()
        pieces, end = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if end == "reset":
            _reset(writer)
        elif end == "stall":
            await reader.read(1)
            self.gone.set()
        elif end == "endless":
            await self._flood(writer, pieces[-1])
        return end == "keep"

    async def _flood(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        try:
            while True:
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            self.gone.set()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.fixture
async def misbehaving() -> AsyncIterator[MisbehavingServer]:
    """A server on a free port of loopback. The last script answers all further requests."""
    served = MisbehavingServer()
    server = await asyncio.start_server(served.handle, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    yield served
    server.close()


@pytest.fixture
def call() -> Callable[..., Call]:
    """Makes a call: fields of ``Prompt`` and ``Call`` by name."""

    def make(text: str = "What is the capital of France?", **fields: Any) -> Call:
        settings: dict[str, Any] = {"model": "m", "idempotency_key": "request-1", "timeout_s": 10.0}
        settings |= {name: fields.pop(name) for name in _OF_CALL if name in fields}
        messages = fields.pop("messages", (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, text)))
        prompt = Prompt(messages, fields.pop("output_schema", None), fields.pop("max_tokens", 64), **fields)
        return Call(prompt, **settings)

    return make
