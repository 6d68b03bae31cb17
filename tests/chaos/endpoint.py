"""Models and a tool over HTTP that write down each call with who made it and how it ended, and fail when told to.

``/NAME/v1/…`` is an OpenAI-compatible endpoint for the process ``NAME``, ``/NAME/desk`` the tool. Runs on a thread.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from tests.chaos.history import now_ms

Fault: TypeAlias = Literal["429", "500", "503", "529", "cut", "silent"]
FAULTS: Final[tuple[Fault, ...]] = ("429", "500", "503", "529", "cut", "silent")
_WANTS: Final = re.compile(r"wants ([0-9.]+) seconds")
_READY_S: Final = 30.0
_SILENCE_S: Final = 600.0


@dataclass(slots=True)
class Call:
    """One call. ``ended`` is said once its caller could read the whole answer: answered, or a fault; None: never."""

    key: str
    by: str
    at: int
    ended: str | None = None


@dataclass
class Outside:
    """``choose`` says of a call whether it fails, and how. ``delay``: seconds that a model takes at least."""

    delay: float = 0.05
    choose: Callable[[str], Fault | None] = lambda _key: None
    models: list[Call] = field(default_factory=list)
    tools: list[Call] = field(default_factory=list)
    down: bool = False
    """True: connections are closed as soon as they ask for a model. A tool that fails would fail its task."""
    port: int = 0

    def start(self) -> None:
        """Returns when it listens on a free loopback port."""
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True, name="outside").start()
        if not ready.wait(_READY_S):
            raise TimeoutError("the endpoint does not listen")

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
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        arrived = now_ms()
        lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = lines[0].split(" ", 2)
        if self.down and not path.endswith("/desk"):
            return False
        if method == "GET":
            _send(writer, 200, b'{"data":[{"id":"counted"}]}', "application/json")
            return True
        _, by, *rest = path.split("/")
        call = Call(headers.get("idempotency-key", ""), by, arrived)
        if rest[0] == "desk":
            self.tools.append(call)
            number = json.loads(body)["number"]
            _send(writer, 200, json.dumps({"number": number}).encode(), "application/json")
            call.ended = "answered"
            return True
        self.models.append(call)
        return await self._model(call, json.loads(body), writer)

    async def _model(self, call: Call, request: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        words = str(request["messages"][-1]["content"])
        wanted = _WANTS.search(words)
        fault = self.choose(call.key)
        if fault == "silent":
            call.ended = fault
            await asyncio.sleep(_SILENCE_S)
            return False
        await asyncio.sleep(max(self.delay, float(wanted[1]) if wanted else 0.0))
        if fault is not None and fault != "cut":
            _send(writer, int(fault), b'{"error":{"message":"not now","type":"server_error"}}', "application/json")
            call.ended = fault
            return True
        whole = _stream(f"answer to {call.key}", request.get("model"))
        if fault == "cut":
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(whole)
            writer.write(head + whole[: len(whole) // 2])
            call.ended = fault
            return False
        call.ended = "answered"
        _send(writer, 200, whole, "text/event-stream")
        await writer.drain()
        return True


def _stream(words: str, model: object) -> bytes:
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": words}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}},
    ]
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    events = [f"data: {json.dumps({**base, **chunk})}\n\n" for chunk in chunks]
    return ("".join(events) + "data: [DONE]\n\n").encode()


def _send(writer: asyncio.StreamWriter, status: int, body: bytes, kind: str) -> None:
    line = f"HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(line.encode() + body)
