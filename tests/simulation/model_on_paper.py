"""The endpoint of a simulated pool."""

from __future__ import annotations

import asyncio
import json
from typing import Protocol

from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.endpoints.errors import Overloaded
from aiosv3.schemas.records import Prompt, Role
from aiosv3.schemas.topics import Topics
from aiosv3.streams.testing import ProcessContext


class Asked(Protocol):
    """The mesh that the endpoint is asked in. ``refusals``: share of the calls that find no room."""

    refusals: float
    topics: Topics

    def called(self, process: str, answers: str, request_id: str) -> None:
        """Somebody was asked, for a request whose answer goes to the topic ``answers``."""
        ...

    def word(self) -> str:
        """An answer."""
        ...


class ModelOnPaper:
    """The endpoint: answers with a fresh word each time, so that a repeated call shows as a second answer."""

    def __init__(self, mesh: Asked, process: ProcessContext, pool: str) -> None:
        self._mesh = mesh
        self._process = process
        self._pool = pool

    async def complete(self, call: Call) -> Completed:
        mesh = self._mesh
        mesh.called(self._process.name, mesh.topics.completions(self._pool), call.idempotency_key)
        word = mesh.word()
        text = word if call.prompt.output_schema is None else json.dumps({"word": word})
        for piece in (text[:1], text[1:]):
            if call.on_text is not None:
                call.on_text(piece)
            await asyncio.sleep(self._process.rng.uniform(0, 0.3))
            if self._process.rng.random() < mesh.refusals / 2:
                raise Overloaded("no room", status=503)
        calls = _tool_calls(call.prompt)
        return Completed(
            text=text,
            tool_calls=calls,
            finish_reason="tool_calls" if calls else "stop",
            input_tokens=1,
            output_tokens=self._process.rng.randrange(1, call.prompt.max_tokens + 1),
            cached_tokens=0,
            provider_request_id=None,
            first_token_ms=1,
            usage_estimated=False,
        )

    async def probe(self) -> Probed:
        """Always well."""
        return Probed((self._pool,), 0)

    async def aclose(self) -> None:
        """Nothing is open."""


def _tool_calls(prompt: Prompt) -> str | None:
    """Every tool that is offered, all at once, as long as none has answered; whatever they take is the last words."""
    if prompt.tools is None or prompt.messages[-1].role is Role.TOOL:
        return None
    arguments = {"look": {"thing": "it"}, "leaf": {"program": "leaf", "id": "looked"}}
    names = [offered["function"]["name"] for offered in json.loads(prompt.tools)]
    calls = [
        {
            "id": f"c{n}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments.get(name, {}))},
        }
        for n, name in enumerate(names)
    ]
    return json.dumps(calls)
