"""Model endpoints: the classes with which a model worker calls a model API.

Importing this package loads no HTTP client and no model runtime; ``open_endpoint`` loads what its kind needs.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiosv3.router.endpoints.endpoint import Call, Completed, Endpoint, Probed
from aiosv3.router.endpoints.errors import EndpointError
from aiosv3.schemas.errors import AiosError

if TYPE_CHECKING:
    from pydantic import SecretStr

__all__ = [
    "KINDS",
    "Call",
    "Completed",
    "Endpoint",
    "EndpointError",
    "Kind",
    "Place",
    "Probed",
    "UnknownKind",
    "open_endpoint",
]


class UnknownKind(AiosError):
    """A pool names a kind of endpoint that there is not, or leaves out what its kind needs."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an endpoint is. ``in_flight``: calls at once, more wait. ``cache``: folder for the local model's file.

    ``priorities``: its scheduler goes by the priority of a call (vLLM with ``--scheduling-policy priority``).
    ``api``: of kind ``openai``, which of its APIs: ``chat`` or ``responses``. ``flex``: asks it for the service tier of
    calls that may wait.
    """

    base_url: str | None = None
    api_key: SecretStr | None = None
    in_flight: int = 64
    verify: ssl.SSLContext | None = None
    cache: Path | None = None
    priorities: bool = False
    api: str = "chat"
    flex: bool = False

    def url(self) -> str:
        """The base URL. Raises ``UnknownKind`` in words where none is configured."""
        if not self.base_url:
            raise UnknownKind("this kind of endpoint needs base_url")
        return self.base_url


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of endpoint: how to open it, what it is, and an example of its ``base_url`` (None: it has none)."""

    open: Callable[[Place], Endpoint]
    summary: str
    base_url_example: str | None = None


def open_endpoint(kind: str, place: Place) -> Endpoint:
    """An endpoint of a kind in ``KINDS``, not connected yet. Raises ``UnknownKind``, ``ValueError`` (URL, key)."""
    if kind not in KINDS:
        raise UnknownKind(f"there is no endpoint kind {kind!r}: choose one of {', '.join(sorted(KINDS))}")
    return KINDS[kind].open(place)


def _openai(place: Place) -> Endpoint:
    from aiosv3.router.endpoints.clients import ClientLimits
    from aiosv3.router.endpoints.openai import Dialect, OpenAIChat
    from aiosv3.router.endpoints.responses import OpenAIResponses

    clients = ClientLimits(place.in_flight)
    if place.api == "responses":
        return OpenAIResponses(place.url(), place.api_key, clients=clients, verify=place.verify, flex=place.flex)
    dialect = Dialect(flex=place.flex)
    return OpenAIChat(place.url(), place.api_key, dialect=dialect, clients=clients, verify=place.verify)


def _vllm(place: Place) -> Endpoint:
    from aiosv3.router.endpoints.clients import ClientLimits
    from aiosv3.router.endpoints.openai import Dialect, OpenAIChat

    dialect = Dialect(salts=True, priorities=place.priorities)
    clients = ClientLimits(place.in_flight)
    return OpenAIChat(place.url(), place.api_key, dialect=dialect, clients=clients, verify=place.verify)


def _anthropic(place: Place) -> Endpoint:
    from aiosv3.router.endpoints.anthropic import AnthropicMessages
    from aiosv3.router.endpoints.clients import ClientLimits

    return AnthropicMessages(place.url(), place.api_key, clients=ClientLimits(place.in_flight), verify=place.verify)


def _local(place: Place) -> Endpoint:
    from aiosv3.router.endpoints.local import LocalModel

    return LocalModel(cache=place.cache)


KINDS: Final[Mapping[str, Kind]] = {
    "anthropic": Kind(_anthropic, "Anthropic's Messages API, streamed.", "https://HOST"),
    "local": Kind(_local, "SmolLM2-135M-Instruct in this process, on the CPU: honest, small, no network."),
    "openai": Kind(
        _openai, "Any OpenAI-compatible API, chat or responses: clouds, Ollama, llama.cpp.", "http://HOST:PORT/v1"
    ),
    "vllm": Kind(_vllm, "vLLM: the same, with its priorities and a prefix cache a tenant.", "http://HOST:PORT/v1"),
}
