"""HTTP for MCP, for servers that nobody trusts: bodies are counted while they are read, faults stay with their request.

The SDK's transport lets an error of one request end the session of all. Here it becomes the answer of that request.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CONNECTION_CLOSED

from aiosv3.tools.mcp.keys import KEY_HEADER, step_key


class _TooLong(httpx2.StreamError):
    """A body over the limit; a StreamError, because that is what the SDK takes as the fault of one request."""


class HttpLink:
    """One session over HTTP. ``limit``: bytes of one response. Credentials are in ``headers``."""

    def __init__(self, url: str, headers: Mapping[str, str], limit: int, timeout: float) -> None:
        self._url = url
        self._headers = dict(headers)
        self._limit = limit
        self._timeout = timeout
        self.gone = anyio.Event()

    def last_words(self) -> str:
        """Nothing more than its answers said."""
        return ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Any, Any]]:
        """The streams of the SDK's transport contract."""
        transport = _Counting(httpx2.AsyncHTTPTransport(), self._limit)
        timeout = httpx2.Timeout(self._timeout)
        # A small body can unpack to a huge one: nothing packed is asked for, and none is read.
        headers = {**self._headers, "Accept-Encoding": "identity"}
        try:
            async with (
                httpx2.AsyncClient(
                    transport=transport, headers=headers, timeout=timeout, follow_redirects=False, trust_env=False
                ) as client,
                streamable_http_client(self._url, http_client=client, max_sse_event_size=self._limit) as streams,
            ):
                yield streams
        finally:
            self.gone.set()


class _Counting(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport, limit: int) -> None:
        self._inner = inner
        self._limit = limit

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if key := step_key.get():
            request.headers[KEY_HEADER] = key
        try:
            response = await self._inner.handle_async_request(request)
        except httpx2.TransportError as error:
            return _failed(request, f"{type(error).__name__}: {error}")
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        if packed not in {"", "identity"}:
            await response.aclose()
            return _failed(request, f"it answers packed ({packed[:40]}), which was not asked for")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Counted(response.stream, self._limit)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, limit: int) -> None:
        self._inner = inner
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        try:
            async for chunk in self._inner:
                read += len(chunk)
                if read > self._limit:
                    raise _TooLong(f"its answer is over {self._limit} bytes: cut off")
                yield chunk
        except httpx2.TransportError as error:
            raise httpx2.StreamError(f"it broke off: {type(error).__name__}") from error

    async def aclose(self) -> None:
        await self._inner.aclose()


def _failed(request: httpx2.Request, words: str) -> httpx2.Response:
    """What the transport could not do, as the answer of a server would say it."""
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": CONNECTION_CLOSED, "message": words}}
    return httpx2.Response(502, headers={"content-type": "application/json"}, text=json.dumps(error), request=request)
