"""The world's other end: an OpenAI-compatible model, a weather service and a shop on loopback, which count."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

_CITIES: Final = ("Oslo", "Rome")


@dataclass
class Call:
    """One request. ``what`` names it; seconds of the monotonic clock; ``answered`` None: never."""

    what: str
    at: float
    turns: int = 0
    answered: float | None = None
    refused: bool = False


@dataclass
class Endpoint:
    """``slow``: seconds that requests take whose text holds the key; ``fails``: how often such requests get a 503."""

    slow: dict[str, float] = field(default_factory=dict)
    fails: dict[str, int] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    port: int = 0

    def start(self) -> str:
        """Returns the base address, once it listens."""
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True, name="endpoint").start()
        if not ready.wait(10):
            raise TimeoutError("the endpoint does not listen")
        return f"http://127.0.0.1:{self.port}"

    # -- what happened --------------------------------------------------------------------------------------------

    def of(self, part: str) -> list[Call]:
        """Requests whose text holds ``part``."""
        return [call for call in self.calls if part in call.what]

    def answered(self, part: str) -> int:
        """How many of them were answered well."""
        return sum(call.answered is not None and not call.refused for call in self.of(part))

    def wait(self, what: str, holds: Callable[[], bool], seconds: float = 60) -> None:
        """Until it holds; TimeoutError says what did not come."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {seconds:g} s; calls: {[call.what for call in self.calls]}")
            threading.Event().wait(0.02)

    # -- serving --------------------------------------------------------------------------------------------------

    async def _serve(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._request(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
        path = head[0].split(" ")[1]
        if head[0].startswith("GET"):
            await _send(writer, 200, {"data": [{"id": "counted"}]})
            return
        call = self._note(path, body)
        if self._refuses(call):
            call.answered = time.monotonic()
            await _send(writer, 503, {"error": {"message": "busy", "type": "server_error"}})
            return
        await asyncio.sleep(max((seconds for key, seconds in self.slow.items() if key in call.what), default=0.05))
        call.answered = time.monotonic()  # before it is: whoever has the answer finds it counted
        if path == "/v1/chat/completions":
            message = _message(body, call.what)
            await (_stream if body.get("stream") else _whole)(writer, message)
        else:
            await _send(writer, 200, {"text": f"done: {call.what}"})

    def _note(self, path: str, body: dict[str, Any]) -> Call:
        messages = body.get("messages") or []
        if messages:
            said = [str(message.get("content") or "") for message in messages if message["role"] == "user"]
            kind = "final" if any(message["role"] == "tool" for message in messages) else "model"
            what = f"{kind}: {said[-1]}"
        else:
            what = f"{path}: {next(iter(body.values()), '')}"
        call = Call(what, time.monotonic(), len(messages))
        self.calls.append(call)
        return call

    def _refuses(self, call: Call) -> bool:
        for key in self.fails:
            if key in call.what and self.fails[key] > 0:
                self.fails[key] -= 1
                call.refused = True
                return True
        return False


def _message(body: dict[str, Any], what: str) -> dict[str, Any]:
    """Asks for the weather of both cities where it may and has not yet; else answers."""
    if body.get("tools") and what.startswith("model: "):
        calls = [
            {
                "id": f"call_{index}",
                "type": "function",
                "function": {"name": "weather", "arguments": json.dumps({"city": city})},
            }
            for index, city in enumerate(_CITIES)
        ]
        return {"role": "assistant", "content": None, "tool_calls": calls}
    return {"role": "assistant", "content": f"answer to {what.partition(': ')[2]}"}


async def _whole(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    await _send(
        writer,
        200,
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "counted",
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        },
    )


async def _stream(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    calls = message.get("tool_calls")
    delta = dict(message)
    if calls:
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}},
    ]
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "counted"}
    events = [f"data: {json.dumps({**base, **chunk})}\n\n" for chunk in chunks]
    await _send(writer, 200, ("".join(events) + "data: [DONE]\n\n").encode(), "text/event-stream")


async def _send(writer: asyncio.StreamWriter, status: int, body: Any, kind: str = "application/json") -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} OK\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n\r\n"
    writer.write(head.encode() + raw)
    await writer.drain()
