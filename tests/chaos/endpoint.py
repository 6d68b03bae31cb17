"""Models and a tool over HTTP that write down each call with who made it and how it ended, and fail when told to.

``/NAME/v1/…`` is an OpenAI-compatible endpoint for the process ``NAME``, ``/NAME/desk`` the tool.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from loopback import EVENTS, Asked, Loopback, completion, send, send_models
from tests.chaos.history import now_ms

Fault: TypeAlias = Literal["429", "500", "503", "529", "cut", "silent"]
FAULTS: Final[tuple[Fault, ...]] = ("429", "500", "503", "529", "cut", "silent")
_WANTS: Final = re.compile(r"wants ([0-9.]+) seconds")
_SILENCE_S: Final = 600.0


@dataclass(slots=True)
class Call:
    """One call. ``ended`` is said once its caller could read the whole answer: answered, or a fault; None: never."""

    key: str
    by: str
    at: int
    ended: str | None = None


@dataclass
class Outside(Loopback):
    """``choose`` says of a call whether it fails, and how. ``delay``: seconds that a model takes at least."""

    delay: float = 0.05
    choose: Callable[[str], Fault | None] = lambda _key: None
    models: list[Call] = field(default_factory=list)
    tools: list[Call] = field(default_factory=list)
    down: bool = False
    """True: connections are closed once they have asked for a model. A tool that fails would fail its task."""

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        arrived = now_ms()
        _, by, *rest = asked.path.split("/")
        tool = rest[-1:] == ["desk"]
        if asked.method == "GET":
            if self.down:
                return False
            send_models(writer)
            return True
        call = Call(asked.key, by, arrived)
        if self.down and not tool:  # it has come: who sent it cannot know that it was not paid
            self.models.append(call)
            call.ended = "down"
            return False
        if not tool:
            self.models.append(call)
            return await self._model(call, json.loads(asked.body), writer)
        self.tools.append(call)
        send(writer, json.dumps({"number": json.loads(asked.body)["number"]}).encode())
        call.ended = "answered"
        return True

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
            send(writer, b'{"error":{"message":"not now","type":"server_error"}}', status=int(fault))
            call.ended = fault
            return True
        whole = completion(f"answer to {call.key}", request.get("model"))
        if fault == "cut":
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(whole)
            writer.write(head + whole[: len(whole) // 2])
            call.ended = fault
            return False
        call.ended = "answered"
        send(writer, whole, EVENTS)
        await writer.drain()
        return True
