"""A bounded pool of HTTP clients for one endpoint.

A transport of httpx looks through all of its connections and all waiting requests at each start and end of a request,
so its own time a call grows with the calls in flight. Many clients with few connections each keep it flat (``bench``
figures: 9 ms of processor time a call with one client at 64 in flight, 2.5 ms with sixteen of four). They are
transports with nothing above them: what ``httpx.AsyncClient`` does besides (cookies, redirects, authentication, putting
URLs and headers together) is a third of a call's processor time, and none of it is wanted here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from aiosv3.router.endpoints.errors import Unreachable


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """``in_flight``: calls at once, more wait. Times are seconds; ``read`` is the longest silence within an answer."""

    in_flight: int = 64
    connections_a_client: int = 4
    connect: float = 5.0
    read: float = 60.0
    keep_alive: float = 15.0


class Client:
    """Requests to one base URL. Environment, cookies and redirects are nothing to it; ``headers`` go out as given."""

    def __init__(self, base_url: str, transport: httpx.AsyncHTTPTransport, timeout: httpx.Timeout) -> None:
        self._base_url = base_url
        self._transport = transport
        self._extensions = {"timeout": timeout.as_dict()}
        self._urls: dict[str, httpx.URL] = {}

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        """The response once its head is there; closed at the end. ``path`` is relative. Raises ``httpx.HTTPError``."""
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = httpx.URL(f"{self._base_url}/{path}")
        request = httpx.Request(method, url, headers=headers, content=content, extensions=dict(self._extensions))
        response = await self._transport.handle_async_request(request)
        response.request = request
        try:
            yield response
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._transport.aclose()


@dataclass(slots=True)
class _Seats:
    client: Client
    taken: int = 0


class ClientPool:
    """Lends the client with the fewest calls, and opens one more only where all open ones are full.

    The environment's proxies and netrc are not read, and redirects are not followed: a prompt and its credentials go
    to ``base_url`` or nowhere.
    """

    def __init__(
        self, base_url: str, limits: ClientLimits | None = None, *, verify: ssl.SSLContext | None = None
    ) -> None:
        self.limits = limits or ClientLimits()
        self._base_url = checked_url(base_url)
        self._verify = verify or tls_for(self._base_url)
        self._slots = asyncio.Semaphore(self.limits.in_flight)
        self._seats: list[_Seats] = []
        self._closed = False

    @property
    def opened(self) -> int:
        """How many clients there are now."""
        return len(self._seats)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Client]:
        """A client for one request. Waits while ``in_flight`` calls are out. Raises ``Unreachable`` once closed."""
        async with self._slots:
            seats = self._choose()
            seats.taken += 1
            try:
                yield seats.client
            finally:
                seats.taken -= 1

    async def aclose(self) -> None:
        """Closes all connections; calls in flight fail."""
        self._closed = True
        seats, self._seats = self._seats, []
        await asyncio.gather(*(each.client.aclose() for each in seats))

    def _choose(self) -> _Seats:
        if self._closed:
            raise Unreachable("this endpoint has been closed")
        best = min(self._seats, key=lambda seats: seats.taken, default=None)
        if best is None or best.taken >= self.limits.connections_a_client:
            best = _Seats(self._open())
            self._seats.append(best)
        return best

    def _open(self) -> Client:
        limits = self.limits
        each = limits.connections_a_client
        transport = httpx.AsyncHTTPTransport(
            verify=self._verify,
            trust_env=False,
            limits=httpx.Limits(
                max_connections=each, max_keepalive_connections=each, keepalive_expiry=limits.keep_alive
            ),
        )
        return Client(self._base_url, transport, httpx.Timeout(limits.read, connect=limits.connect))


def tls_for(base_url: str) -> ssl.SSLContext:
    """One context for all clients: loading certificates takes tens of milliseconds. Without TLS it trusts nobody."""
    if base_url.startswith("http:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.create_ssl_context(trust_env=False)


def checked_url(text: str) -> str:
    """``text`` without a final slash. Raises ``ValueError`` in words unless it is an absolute http(s) URL."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r} is no URL ({error}): write it as http://host:port/v1") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{text!r} is no absolute http(s) URL: write it as http://host:port/v1")
    if url.userinfo:
        raise ValueError("the URL carries credentials: give them as the API key")
    return text.rstrip("/")
