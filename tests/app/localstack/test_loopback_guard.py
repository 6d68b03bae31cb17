from __future__ import annotations

import socket

import pytest


def test_a_connection_beyond_this_machine_fails() -> None:
    with socket.socket() as probe, pytest.raises(pytest.fail.Exception, match="only loopback"):
        probe.connect(("192.0.2.1", 80))


def test_a_look_up_beyond_this_machine_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="only loopback"):
        socket.create_connection(("example.invalid", 80), timeout=1)


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
    assert socket.getaddrinfo("localhost", 80)
