"""A chat-completions endpoint of which only its delay matters: prints its port, serves until it is killed.

    python bench/slow_endpoint.py MILLISECONDS

Streams where it is asked to, in one piece after the delay; answers in JSON otherwise. It looks at no more of a request
than that: some 10,000 answers a second on one core without the delay, a tenth of what its callers use of theirs.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final

_WORDS: Final = "The second department, because the shop has answered already. " * 2
_USAGE: Final = {"prompt_tokens": 110, "completion_tokens": 30, "total_tokens": 140}
_BASE: Final = {"id": "chatcmpl-1", "created": 1, "model": "slow"}


def _head(kind: bytes, length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind, length)


def streamed() -> bytes:
    """The answer as server-sent events."""
    chunks: list[dict[str, object]] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": _WORDS}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": _USAGE},
    ]
    base = {**_BASE, "object": "chat.completion.chunk"}
    body = b"".join(b"data: %b\n\n" % json.dumps({**base, **chunk}).encode() for chunk in chunks) + b"data: [DONE]\n\n"
    return _head(b"text/event-stream", len(body)) + body


def whole() -> bytes:
    """The answer as one JSON object."""
    message = {"role": "assistant", "content": _WORDS}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = json.dumps({**_BASE, "object": "chat.completion", "choices": choices, "usage": _USAGE}).encode()
    return _head(b"application/json", len(body)) + body


def models() -> bytes:
    """What a health check gets."""
    body = b'{"object":"list","data":[{"id":"slow","object":"model"}]}'
    return _head(b"application/json", len(body)) + body


def body_length(head: bytes) -> int:
    """``content-length`` of a request's head; 0 without one. A body in chunks is nothing that this endpoint reads."""
    lower = head.lower()
    if b"transfer-encoding" in lower:
        raise ValueError("this endpoint reads no body in chunks")
    _, found, rest = lower.partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


class Answers(asyncio.Protocol):
    """One connection; one request after the other."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or len(rest) < (length := body_length(head)):
            return
        self._buffer = rest[length:]
        if head.startswith(b"GET"):
            self._send(MODELS)
            return
        body = rest[:length].replace(b" ", b"")
        self._loop.call_later(self._delay, self._send, STREAMED if b'"stream":true' in body else WHOLE)

    def _send(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


STREAMED: Final = streamed()
WHOLE: Final = whole()
MODELS: Final = models()


async def main(delay: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Answers(delay), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) / 1_000))
