"""One streamed HTTP call, with limits on time and bytes, and every way to fail as one of our errors."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from aiosv3.router.endpoints.clients import ClientLimits, ClientPool
from aiosv3.router.endpoints.endpoint import Probed
from aiosv3.router.endpoints.errors import (
    CallTimeout,
    EndpointError,
    MalformedReply,
    Spent,
    StreamCut,
    Unreachable,
)
from aiosv3.router.endpoints.faults import failed_midway, refused
from aiosv3.router.endpoints.reading import Reading
from aiosv3.router.endpoints.sse import EventParser, ServerEvent

_LARGEST_BODY: Final = 1 << 20
_BODY_S: Final = 5.0
_DRAIN_S: Final = 0.25
_LARGEST_DRAIN: Final = 1 << 16
_PIECE: Final = 1 << 16
"""So much of a reply is looked at in one go: what has come may hold its end, and far more behind it."""


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """``bytes``: most of one reply, about 200 a token of streamed text. ``probe_s``: seconds for a health check."""

    bytes: int = 32 << 20
    probe_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Question:
    """A POST whose answer is an event stream. ``path`` is relative to the base URL."""

    path: str
    body: Mapping[str, Any]
    timeout_s: float
    headers: Mapping[str, str] = field(default_factory=dict)


class Exchange:
    """HTTP to one endpoint. ``headers`` go with every request; ``secret`` is masked wherever the endpoint echoes it."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        secret: str | None = None,
        clients: ClientLimits | None = None,
        reply: ReplyLimits | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        for name, value in headers.items():
            if not is_header_value(value):
                raise ValueError(f"header {name!r} has characters that HTTP does not carry (is the key complete?)")
        # A compressed reply could be a thousand times what was counted on the wire: none is ever unpacked.
        self._headers = {"accept-encoding": "identity", "user-agent": "aiosv3", **headers}
        self._pool = ClientPool(base_url, clients, verify=verify)
        self._reply = reply or ReplyLimits()
        self._secret = secret or None

    async def ask(self, question: Question, reading: Reading) -> None:
        """Feeds ``reading`` until it has finished. Raises ``EndpointError``."""
        content = json.dumps(question.body, ensure_ascii=False).encode("utf-8", "replace")
        headers = {**self._headers, "content-type": "application/json", "accept": "text/event-stream"}
        sent = False
        try:
            async with asyncio.timeout(question.timeout_s), self._pool.lend() as client:
                sent = True
                request = client.stream("POST", question.path, content=content, headers={**headers, **question.headers})
                async with request as response:
                    await self._answer(response, reading)
        except asyncio.CancelledError:
            if sent:
                reading.dropped()
            raise
        except aiohttp.ClientError as error:  # before TimeoutError, which some of them are
            raise _lost(error, reading.spent(), reading.provider_request_id) from error
        except TimeoutError:
            words = f"no complete answer within {question.timeout_s:g} s"
            raise CallTimeout(words, spent=reading.spent() if sent else None) from None

    async def models(self, path: str) -> Probed:
        """A health check: lists the models. Raises ``EndpointError``; nothing is billed."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._reply.probe_s), self._pool.lend() as client:
                headers = {**self._headers, "accept": "application/json"}
                async with client.stream("GET", path, headers=headers) as response:
                    body = await self._body(response)
                    if response.status != 200:
                        raise refused(response.status, response.headers, body)
        except aiohttp.ClientError as error:
            raise _lost(error, None, None) from error
        except TimeoutError:
            raise CallTimeout(f"no answer to the health check within {self._reply.probe_s:g} s") from None
        return Probed(_model_names(body), round((time.monotonic() - began) * 1000))

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._pool.aclose()

    async def _answer(self, response: aiohttp.ClientResponse, reading: Reading) -> None:
        headers = response.headers
        reading.provider_request_id = headers.get("x-request-id") or headers.get("request-id")
        if response.status != 200:
            raise refused(response.status, headers, await self._body(response))
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            raise self._no_stream(kind, await self._body(response), reading)
        if (coding := headers.get("content-encoding", "identity")) != "identity":
            raise reading.malformed(f"content encoding {coding[:60]!r}, which was not asked for")
        chunks = response.content.iter_chunked(_PIECE)
        await self._events(chunks, reading)
        await _drain(chunks)

    async def _events(self, chunks: AsyncIterator[bytes], reading: Reading) -> None:
        parser = EventParser()
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self._reply.bytes:
                raise reading.malformed(f"the reply is larger than {self._reply.bytes} bytes: connection dropped")
            for event in parser.feed(chunk):
                reading.take(self._masked(event))
                if reading.finished:
                    return
        raise StreamCut(
            "the stream ended without its finish marker",
            status=200,
            spent=reading.spent(),
            provider_request_id=reading.provider_request_id,
        )

    def _no_stream(self, kind: str, body: bytes, reading: Reading) -> EndpointError:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and value.get("error"):
            return failed_midway(value, reading.spent(), reading.provider_request_id)
        if isinstance(value, dict) and isinstance(value.get("usage"), dict):
            reading.tell(value["usage"], final=True)  # it answered, in one piece: that is on the bill
        return reading.malformed(f"content type {kind[:60]!r} instead of 'text/event-stream'")

    def _masked(self, event: ServerEvent) -> ServerEvent:
        if self._secret is None or self._secret not in event.data:
            return event
        return ServerEvent(event.event, event.data.replace(self._secret, "***"))

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """What comes of a body within a few seconds and a megabyte."""
        body = bytearray()
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(_BODY_S):
                async for chunk in response.content.iter_chunked(_PIECE):
                    body += chunk
                    if len(body) > _LARGEST_BODY:
                        break
        return bytes(body).replace(self._secret.encode(), b"***") if self._secret else bytes(body)


def is_header_value(text: str) -> bool:
    """Whether it may stand in an HTTP header as it is (RFC 9110, 5.5: visible ASCII, inner spaces)."""
    return text.isascii() and text.isprintable() and text == text.strip()


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Reads to the end behind the finish marker: only then can the connection serve the next call."""
    size = 0
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(_DRAIN_S):
            async for chunk in chunks:
                size += len(chunk)
                if size > _LARGEST_DRAIN:
                    return


def _lost(error: aiohttp.ClientError, spent: Spent | None, request_id: str | None) -> EndpointError:
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL):
        return Unreachable(words)
    if isinstance(error, aiohttp.ServerTimeoutError):
        return CallTimeout(words, spent=spent, provider_request_id=request_id)
    return StreamCut(f"connection lost ({words})", spent=spent, provider_request_id=request_id)


def _model_names(body: bytes) -> tuple[str, ...]:
    try:
        listed = json.loads(body)["data"]
        return tuple(str(entry["id"]) for entry in listed)
    except (ValueError, RecursionError, KeyError, TypeError):
        raise MalformedReply("the health check's answer is no list of models", status=200) from None
