"""An OpenAI-compatible endpoint that counts: every request with its idempotency key and its time of arrival.

Runs on a thread of its own, so that it goes on whatever is killed.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class Arrival:
    """One request: wall-clock milliseconds of its arrival; the clock's seconds around its answer (None: never).

    ``messages``: how many the model was sent.
    """

    at: int
    at_s: float
    answered_s: float | None = None
    messages: int = 0


@dataclass
class CountingEndpoint:
    """``delay``: seconds an answer takes. ``calls``: idempotency key -> arrivals."""

    delay: float = 0.05
    calls: dict[str, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    port: int = 0

    def start(self) -> None:
        """Returns when it listens on a free loopback port."""
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True, name="counting-endpoint").start()
        ready.wait(10)

    async def _serve(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if lines[0].startswith("GET"):
            self._send(writer, b'{"data":[{"id":"counted"}]}', b"application/json")
            return True
        arrival = Arrival(_now(), time.perf_counter())
        key = headers.get("idempotency-key", "")
        request = json.loads(body)
        arrival.messages = len(request.get("messages", ()))
        self.calls[key].append(arrival)
        await asyncio.sleep(self.delay)
        self._send(writer, self._answer(key, request), b"text/event-stream")
        await writer.drain()
        arrival.answered_s = time.perf_counter()
        return True

    def _answer(self, key: str, request: dict[str, object]) -> bytes:
        words = self._words(key, request)
        chunks: list[dict[str, object]] = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": words}, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}},
        ]
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": request.get("model")}
        events = [f"data: {json.dumps({**base, **chunk})}\n\n" for chunk in chunks]
        return ("".join(events) + "data: [DONE]\n\n").encode()

    def _words(self, key: str, _request: dict[str, object], /) -> str:
        """What the model says."""
        return f"answer {len(self.calls[key])} to {key}"

    @staticmethod
    def _send(writer: asyncio.StreamWriter, body: bytes, kind: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (kind, len(body), body))


def _now() -> int:
    return time.time_ns() // 1_000_000
