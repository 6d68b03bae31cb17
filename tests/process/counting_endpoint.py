"""An OpenAI-compatible endpoint that counts: every request with its idempotency key and its time of arrival."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from dataclasses import dataclass, field

from loopback import EVENTS, Asked, Loopback, completion, send, send_models


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
class CountingEndpoint(Loopback):
    """``delay``: seconds an answer takes. ``calls``: idempotency key -> arrivals."""

    delay: float = 0.05
    calls: dict[str, list[Arrival]] = field(default_factory=lambda: defaultdict(list))

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        if asked.method == "GET":
            send_models(writer)
            return True
        arrival = Arrival(time.time_ns() // 1_000_000, time.perf_counter())
        request = json.loads(asked.body)
        arrival.messages = len(request.get("messages", ()))
        self.calls[asked.key].append(arrival)
        await asyncio.sleep(self.delay)
        send(writer, completion(self._words(asked.key, request), request.get("model")), EVENTS)
        await writer.drain()
        arrival.answered_s = time.perf_counter()
        return True

    def _words(self, key: str, _request: dict[str, object], /) -> str:
        """What the model says."""
        return f"answer {len(self.calls[key])} to {key}"
