from __future__ import annotations

import socket

from aiosv3.app.localstack.ports import LOOPBACK, answers, free_port, is_free, port_again


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


def test_the_port_of_the_last_time_is_taken_again_unless_somebody_else_has_it() -> None:
    known = free_port()
    assert port_again(known) == known
    with socket.create_server((LOOPBACK, known)):
        assert port_again(known) not in {0, known}
    assert port_again(0) > 0
