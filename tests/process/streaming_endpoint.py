"""An OpenAI-compatible endpoint that writes word by word, and does on its way what the last message asks for.

``hold``: after two words it waits until the test lets it go on. ``cut N``: the first N calls lose their connection
after two words. Anything else: it is written at once.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from counting_endpoint import CountingEndpoint
from loopback import Asked, send_models

WORDS: Final = ("Once", " upon", " a", " time")
STORY: Final = "".join(WORDS)


@dataclass
class StreamingEndpoint(CountingEndpoint):
    """``held``: calls that wait for :meth:`go_on`. ``written``: calls whose last word is out, by the last message."""

    held: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    written: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)

    def go_on(self) -> None:
        """Lets one call go on."""
        self.held.release()

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        if asked.method == "GET":
            send_models(writer)
            return True
        wish = str(json.loads(asked.body)["messages"][-1]["content"])
        self.waiting[wish] += 1
        await self._write(writer, wish)
        return False

    async def _write(self, writer: asyncio.StreamWriter, wish: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for number, word in enumerate(WORDS):
            if number == 2 and wish.startswith("hold"):
                await asyncio.to_thread(self.held.acquire)
            if number == 2 and wish.startswith("cut") and self.waiting[wish] <= int(wish.split()[1]):
                return
            writer.write(_event({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}))
            await writer.drain()
        self.written[wish] += 1
        writer.write(_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        writer.write(_event({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 4}}))
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()


def _event(chunk: dict[str, object]) -> bytes:
    return f"data: {json.dumps({'id': 'chatcmpl-1', **chunk})}\n\n".encode()
