"""An embedder behind ``POST /v1/embeddings`` as OpenAI defined it; also vLLM, Ollama, llama.cpp and most clouds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import httpx
from pydantic import SecretStr

from aiosv3.memory.embedders.errors import EmbedderUnavailable, EmbedderUnusable

if TYPE_CHECKING:
    from aiosv3.memory.views.port import Vector

_AGAIN: Final = frozenset({408, 409, 425, 429})
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What is asked, and how.

    ``base_url`` ends with the version: ``http://host/v1``. ``dimensions``: asked of the server, where it can shorten
    vectors. The prefixes are what some models want before a text that is looked for, and before one that is kept
    (``query: `` and ``passage: `` for e5). ``batch``: texts in one call; ``calls``: calls at the same time.
    """

    base_url: str
    model: str
    dimensions: int | None = None
    query_prefix: str = ""
    text_prefix: str = ""
    batch: int = 64
    calls: int = 4
    timeout_s: float = 30.0


class RemoteEmbedder:
    """Implements ``Embedder`` with connections of its own, so that no other traffic waits for embeddings."""

    def __init__(
        self, remote: RemoteModel, api_key: SecretStr | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._remote = remote
        secret = api_key.get_secret_value() if api_key is not None else ""
        self._client = httpx.AsyncClient(
            base_url=remote.base_url.rstrip("/") + "/",
            headers={"authorization": f"Bearer {secret}"} if secret else {},
            timeout=remote.timeout_s,
            limits=httpx.Limits(max_connections=remote.calls, max_keepalive_connections=remote.calls),
            transport=transport,
        )
        self._calls = asyncio.Semaphore(remote.calls)

    @property
    def name(self) -> str:
        """See ``Embedder``: the model, how many dimensions were asked for, and the prefix of what is kept."""
        parts = [self._remote.model, str(self._remote.dimensions or ""), self._remote.text_prefix.strip()]
        return "/".join(part for part in parts if part)

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        """See ``Embedder``."""
        prefix = self._remote.query_prefix if query else self._remote.text_prefix
        # Servers refuse an empty text.
        asked = [(prefix + text) or " " for text in texts]
        size = self._remote.batch
        batches = [asked[start : start + size] for start in range(0, len(asked), size)]
        try:
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(self._call(batch)) for batch in batches]
        except ExceptionGroup as failed:
            # One is enough to know; the others were cancelled.
            raise failed.exceptions[0] from None
        return [vector for call in calls for vector in call.result()]

    async def close(self) -> None:
        """See ``Embedder``."""
        await self._client.aclose()

    async def _call(self, texts: list[str]) -> list[Vector]:
        body: dict[str, Any] = {"model": self._remote.model, "input": texts, "encoding_format": "float"}
        if self._remote.dimensions is not None:
            body["dimensions"] = self._remote.dimensions
        async with self._calls:
            try:
                response = await self._client.post("embeddings", json=body)
            except httpx.HTTPError as error:
                raise EmbedderUnavailable(f"{self._remote.model} at {self._remote.base_url}: {error!r}") from None
        self._check(response)
        return self._vectors(response, len(texts))

    def _check(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        said = f"{self._remote.model} at {self._remote.base_url} answered {response.status_code}"
        if response.status_code in _AGAIN or response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise EmbedderUnavailable(said)
        raise EmbedderUnusable(f"{said}: {response.text[:_SHOWN]}")

    def _vectors(self, response: httpx.Response, count: int) -> list[Vector]:
        import numpy as np

        try:
            rows = sorted(response.json()["data"], key=lambda row: int(row["index"]))
            found = np.array([row["embedding"] for row in rows], np.float32)
        except (ValueError, KeyError, TypeError):
            raise EmbedderUnusable(f"{self._remote.base_url} answered no list of embeddings") from None
        if found.ndim != 2 or len(found) != count or [row["index"] for row in rows] != list(range(count)):
            raise EmbedderUnusable(f"{self._remote.base_url} answered {len(found)} embeddings for {count} texts")
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise EmbedderUnusable(f"{self._remote.base_url} answered a vector without a direction")
        return list(found / lengths)
