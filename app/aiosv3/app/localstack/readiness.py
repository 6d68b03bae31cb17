"""Whether a part answers: probes that are named by an address, so that a specification of a process can hold one.

``kafka://127.0.0.1:9092`` a broker names itself; ``http://127.0.0.1:8081/`` answers below 400;
``tcp://127.0.0.1:6379`` accepts a connection. Loopback only.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.app.localstack.kafka import kafka_answers
from aiosv3.app.localstack.ports import LOOPBACK, answers

_TIMEOUT_S: Final = 2.0


def check_probe(address: str) -> None:
    """Raises ``LocalStackError`` where ``address`` names no probe."""
    url = urlsplit(address)
    if url.scheme not in _PROBES or url.hostname != LOOPBACK or url.port is None:
        known = ", ".join(f"{scheme}://{LOOPBACK}:PORT" for scheme in _PROBES)
        raise LocalStackError(f"{address!r} is no probe: use one of {known}")


def is_ready(address: str) -> bool:
    """Ask once; takes at most about two seconds."""
    url = urlsplit(address)
    return _PROBES[url.scheme](url.port or 0, url.path or "/")


def _http(port: int, path: str) -> bool:
    if not answers(port):
        return False
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


_PROBES: Final[dict[str, Callable[[int, str], bool]]] = {
    "kafka": lambda port, _path: kafka_answers(f"{LOOPBACK}:{port}", _TIMEOUT_S),
    "http": _http,
    "tcp": lambda port, _path: answers(port),
}
