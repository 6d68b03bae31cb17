from __future__ import annotations

import socket

from aiosv3.app.localstack.ports import LOOPBACK, answers, free_port, is_free


def test_free_port_is_below_the_ephemeral_ranges() -> None:
    port = free_port()
    assert 20_000 <= port < 32_000
    assert is_free(port)


def test_a_port_that_is_listened_on_is_not_free_and_answers() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        assert answers(port)
    assert not answers(port)
