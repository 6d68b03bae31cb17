"""The relay does to connections what it is told to."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from tests.chaos.relay import Relay

WAIT_S = 30.0


@pytest.fixture
def relay() -> Iterator[Relay]:
    """In front of a server that says back what it hears."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        relay = Relay(server.server_address[1])
        relay.start()
        yield relay
        relay.close()
        server.shutdown()


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := self.request.recv(4096):
                self.request.sendall(chunk)


def _connected(relay: Relay) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", relay.port), timeout=WAIT_S)
    client.settimeout(WAIT_S)
    return client


def _said(client: socket.socket, words: bytes) -> bytes:
    client.sendall(words)
    return client.recv(4096)


def _closed(client: socket.socket) -> bool:
    """Whether nothing comes back, as of a connection that is closed or reset."""
    try:
        return _said(client, b"gone") == b""
    except ConnectionError:
        return True


def test_all_passes(relay: Relay) -> None:
    with _connected(relay) as client:
        assert _said(client, b"hello") == b"hello"


def test_a_cut_resets_every_connection_and_the_next_one_passes(relay: Relay) -> None:
    with _connected(relay) as client:
        assert _said(client, b"hello") == b"hello"
        relay.cut()
        assert _closed(client)
    with _connected(relay) as client:
        assert _said(client, b"again") == b"again"


def test_half_open_holds_what_is_on_its_way_and_loses_none_of_it(relay: Relay) -> None:
    with _connected(relay) as client:
        assert _said(client, b"hello") == b"hello"
        relay.change(silent=True)
        client.sendall(b"held")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(4096)
        relay.heal()
        client.settimeout(WAIT_S)
        assert client.recv(4096) == b"held"


def test_latency_and_rate_take_their_time(relay: Relay) -> None:
    with _connected(relay) as client:
        for weather in ({"latency": 0.1}, {"rate": 100}):
            relay.change(**weather)
            began = time.monotonic()
            assert _said(client, b"0123456789") == b"0123456789"
            assert time.monotonic() - began >= 0.19, "both ways"


def test_refused(relay: Relay) -> None:
    relay.change(refused=True)
    with _connected(relay) as client:
        assert _closed(client)


def test_the_other_side_hears_late_of_a_close(relay: Relay) -> None:
    relay.change(slow_close=0.3)
    with _connected(relay) as client:
        began = time.monotonic()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(4096) == b""
        assert time.monotonic() - began >= 0.29
