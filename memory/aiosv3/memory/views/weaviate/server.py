"""The connection to a Weaviate server: opened when it is needed, every question to it bounded in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import httpx
from grpc.aio import AioRpcError
from pydantic import SecretStr
from weaviate import WeaviateAsyncClient
from weaviate.classes.init import AdditionalConfig, Auth, Timeout
from weaviate.connect import ConnectionParams
from weaviate.exceptions import WeaviateBaseError

from aiosv3.memory.views.errors import ViewUnavailable

_TROUBLE: Final = (WeaviateBaseError, AioRpcError, httpx.HTTPError, OSError, TimeoutError)
_CLOSING_S: Final = 2.0
_WORDS: Final = 300


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is. ``timeout``: seconds that a search may take; ``patience``: seconds for a batch of writes."""

    url: str = "http://127.0.0.1:8080"
    grpc_port: int = 50051
    api_key: SecretStr | None = None
    timeout: float = 2.0
    patience: float = 30.0


class Server:
    """One client of a server, for one event loop. It need not be there yet, and may come and go."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._client: WeaviateAsyncClient | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    @asynccontextmanager
    async def asked(self, what: str, seconds: float | None = None) -> AsyncIterator[WeaviateAsyncClient]:
        """The client, for one piece of work. Raises ``ViewUnavailable`` for whatever goes wrong with the server."""
        if self._closed:
            raise ViewUnavailable("the view is closed")
        try:
            async with asyncio.timeout(seconds or self.address.timeout):
                yield await self._open()
        except TimeoutError as error:
            raise ViewUnavailable(f"Weaviate at {self.address.url}: {what}: not done in time") from error
        except _TROUBLE as error:
            # Messages of the client may go on for pages; what it was asked comes first.
            words = str(error).strip().replace("\n", " ")[:_WORDS]
            raise ViewUnavailable(f"Weaviate at {self.address.url}: {what}: {type(error).__name__}: {words}") from error

    async def close(self) -> None:
        """Lets go of the connection. Safe to call twice."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            await _let_go(client)

    async def _open(self) -> WeaviateAsyncClient:
        if self._client is not None:
            return self._client
        async with self._opening:
            if self._client is None:
                self._client = await self._connected()
        return self._client

    async def _connected(self) -> WeaviateAsyncClient:
        # The client logs what it could not write: memories, in plain.
        logging.getLogger("weaviate-client").setLevel(logging.CRITICAL + 1)
        given = self.address
        client = WeaviateAsyncClient(
            ConnectionParams.from_url(given.url, given.grpc_port),
            auth_client_secret=Auth.api_key(given.api_key.get_secret_value()) if given.api_key else None,
            additional_config=AdditionalConfig(
                timeout=Timeout(init=given.timeout, query=given.patience, insert=given.patience)
            ),
            # They ask a package index for a newer client.
            skip_init_checks=True,
        )
        try:
            await client.connect()
        except BaseException:
            await _let_go(client)
            raise
        return client


async def _let_go(client: WeaviateAsyncClient) -> None:
    with suppress(*_TROUBLE):
        async with asyncio.timeout(_CLOSING_S):
            await client.close()
