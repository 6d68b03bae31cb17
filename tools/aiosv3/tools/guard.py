"""Where HTTP tools may connect to: public addresses, and private ones that the settings list."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias

import httpx

from aiosv3.tools.errors import ServerUnavailable, ToolRefused

Address: TypeAlias = IPv4Address | IPv6Address


class Guard:
    """``allowed``: networks (``10.1.0.0/16``) or addresses that are not public and may be used. Raises ValueError."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._allowed = tuple(ip_network(network) for network in allowed)

    def check(self, address: str) -> None:
        """Raises ToolRefused for an address that must not be connected to."""
        given = ip_address(address)
        for meant in (given, *_inside(given)):
            if not self._may(meant):
                raise ToolRefused(f"{address} is not a public address: list it in the server's settings to allow it")

    def _may(self, address: Address) -> bool:
        if any(address in network for network in self._allowed if network.version == address.version):
            return True
        return address.is_global and not address.is_multicast


def _inside(address: Address) -> list[Address]:
    """The IPv4 addresses that some IPv6 addresses stand for."""
    if isinstance(address, IPv4Address):
        return []
    found: list[Address | None] = [address.ipv4_mapped, address.sixtofour]
    if address in ip_network("64:ff9b::/96"):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


class GuardedTransport(httpx.AsyncBaseTransport):
    """Resolves a name once, checks what it means, connects to that: a name that changes its mind changes nothing."""

    def __init__(self, guard: Guard, inner: httpx.AsyncBaseTransport | None = None) -> None:
        self._guard = guard
        self._inner = inner or httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        address = await self._resolved(host, request.url.port or (443 if request.url.scheme == "https" else 80))
        # The Host header stays as it is, and the certificate is checked against the name.
        direct = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return await self._inner.handle_async_request(direct)

    async def _resolved(self, host: str, port: int) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ServerUnavailable(f"{host} has no address: {error.strerror}") from None
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            self._guard.check(address)
        return addresses[0]

    async def aclose(self) -> None:
        await self._inner.aclose()
