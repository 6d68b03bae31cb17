"""The contract between a model worker and whatever answers its calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiosv3.router.endpoints.errors import Spent
from aiosv3.schemas.records import Prompt


@dataclass(frozen=True, slots=True)
class Call:
    """One model call.

    ``idempotency_key`` is the same for every attempt that must not be billed twice. ``timeout_s`` is wall time for
    everything: waiting for a free connection, sending, and the last byte. ``priority``: lower is sooner; only
    endpoints that schedule by it (vLLM) are told. ``on_text`` is called with each piece of the answer's text as the
    model writes it, on the event loop; it never raises. A structured answer comes as it is on its way, which may be
    wrapped; reasoning, refusals and tool calls do not come. ``on_dropped`` is told what a call has cost that was sent
    and is cancelled; a call that ends in any other way says it itself.
    """

    prompt: Prompt
    model: str
    idempotency_key: str
    timeout_s: float
    tenant: str | None = None
    priority: int | None = None
    on_text: Callable[[str], None] | None = None
    on_dropped: Callable[[Spent], None] | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """A complete answer. With an ``output_schema`` in the prompt, ``text`` is JSON that fits it.

    ``tool_calls``: JSON text, a list of ``{"id", "type": "function", "function": {"name", "arguments"}}`` with the
    arguments as the model wrote them: JSON text as a rule, and for the asker to check. ``finish_reason``: ``stop``,
    ``length`` or ``tool_calls``, or the provider's own word. ``input_tokens`` includes ``cached_tokens``,
    ``written_tokens`` and ``kept_tokens``, as :class:`~aiosv3.router.endpoints.errors.Spent` has them.
    """

    text: str
    tool_calls: str | None
    finish_reason: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    provider_request_id: str | None = None
    first_token_ms: int | None = None
    usage_estimated: bool = False
    written_tokens: int = 0
    kept_tokens: int = 0
    standard: bool = False

    @property
    def spent(self) -> Spent:
        """What it has cost."""
        return Spent(
            self.input_tokens,
            self.output_tokens,
            self.cached_tokens,
            self.written_tokens,
            self.kept_tokens,
            self.usage_estimated,
            self.standard,
        )


@dataclass(frozen=True, slots=True)
class Probed:
    """An endpoint that answered its health check. ``models``: the names that it offers."""

    models: tuple[str, ...]
    latency_ms: int


class Endpoint(Protocol):
    """One model API. Safe for many calls at once on one event loop, and never blocks it."""

    async def complete(self, call: Call) -> Completed:
        """Makes the call once, without retries of its own.

        Raises :class:`~aiosv3.router.endpoints.errors.EndpointError`, and nothing else but ``CancelledError``.
        Cancelling drops the connection, so the server stops generating.
        """
        ...

    async def probe(self) -> Probed:
        """A cheap health check that generates nothing. Raises ``EndpointError`` when the endpoint is not well."""
        ...

    async def aclose(self) -> None:
        """Closes connections and threads. Calls in flight fail."""
        ...
