"""Loopback ports."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the ranges from which Linux (32768) and macOS (49152) take ports of outgoing connections: a part that is
# stopped for a moment finds its port free again.
_RANGE = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections in TIME_WAIT do not stop a server, which sets the same option.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(source: random.Random | None = None) -> int:
    """A port of 127.0.0.1 on which nobody listens now."""
    source = source or random.SystemRandom()
    while True:
        port = source.choice(_RANGE)
        if is_free(port):
            return port


def port_again(known: int) -> int:
    """The port of the last time, where it is still free; else (and where ``known`` is 0) another one."""
    return known if known and is_free(known) else free_port()


def answers(port: int, timeout_s: float = 1.0) -> bool:
    """Whether something accepts connections on this port of 127.0.0.1."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s):
            return True
    except OSError:
        return False
