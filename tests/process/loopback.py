"""An HTTP server on a free loopback port and a thread of its own, so that it goes on whatever is killed.

It stands for whatever is outside: a model's endpoint, a tool. What it answers says whoever derives from it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

_READY_S: Final = 30.0
EVENTS: Final = "text/event-stream"
JSON: Final = "application/json"


class Asked(NamedTuple):
    """One request. Names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def key(self) -> str:
        """The idempotency key."""
        return self.headers.get("idempotency-key", "")


@dataclass
class Loopback:
    """``port``: where it listens, once it was started."""

    port: int = field(default=0, init=False)

    def start(self) -> None:
        """Returns when it listens."""
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True, name="loopback").start()
        if not ready.wait(_READY_S):
            raise TimeoutError(f"nothing listens after {_READY_S:.0f} s")

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        """Answers; False: the connection is closed after it."""
        raise NotImplementedError

    async def _serve(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.respond(await _asked(reader), writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _asked(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = head.split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def send(writer: asyncio.StreamWriter, body: bytes, kind: str = JSON, status: int = 200) -> None:
    """A whole answer."""
    line = f"HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(line.encode() + body)


def send_models(writer: asyncio.StreamWriter) -> None:
    """What an OpenAI-compatible endpoint has."""
    send(writer, b'{"data":[{"id":"counted"}]}')


def completion(words: str, model: object) -> bytes:
    """What an OpenAI-compatible endpoint streams: one piece, its end, and ten tokens in for five out."""
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": words}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}},
    ]
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    events = [f"data: {json.dumps({**base, **chunk})}\n\n" for chunk in chunks]
    return ("".join(events) + "data: [DONE]\n\n").encode()
