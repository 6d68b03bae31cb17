from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import pytest

from aiosv3.tools import ServerUnavailable, ToolRefused
from aiosv3.tools.guard import Guard, GuardedTransport

PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1"),
    *("::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1", "ff02::1", "::"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(ToolRefused, match="is not a public address"):
        Guard().check(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_what_is_public_is_fine(address: str) -> None:
    Guard().check(address)


def test_what_is_listed_may_be_used() -> None:
    guard = Guard(["10.1.0.0/16", "127.0.0.1"])
    for address in ("10.1.2.3", "127.0.0.1"):
        guard.check(address)
    for address in ("10.2.0.1", "127.0.0.2", "::ffff:10.2.0.1"):
        with pytest.raises(ToolRefused):
            guard.check(address)
    with pytest.raises(ValueError, match="host bits"):
        Guard(["10.1.2.3/8"])


async def test_a_name_is_resolved_once_and_connected_to_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    sent: list[httpx.Request] = []

    async def resolve(_loop: Any, host: str, port: int, **_more: Any) -> list[Any]:
        asked.append(host)
        if host == "nowhere.example":
            raise socket.gaierror(8, "no such name")
        addresses = {"good.example": ["93.184.216.34"], "mixed.example": ["93.184.216.34", "127.0.0.1"]}[host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    transport = GuardedTransport(Guard(), httpx.MockTransport(answer))
    async with httpx.AsyncClient(transport=transport) as client:
        await client.get("https://good.example/x")
        with pytest.raises(ToolRefused):
            await client.get("https://mixed.example/x")
        with pytest.raises(ServerUnavailable, match="has no address"):
            await client.get("https://nowhere.example/x")
    assert asked == ["good.example", "mixed.example", "nowhere.example"]
    (request,) = sent
    assert (request.url.host, request.headers["host"]) == ("93.184.216.34", "good.example")
    assert request.extensions["sni_hostname"] == "good.example"
