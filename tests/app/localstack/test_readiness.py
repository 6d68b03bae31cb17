from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.app.localstack.ports import free_port
from aiosv3.app.localstack.readiness import check_probe, is_ready


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/fine" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Quiet."""


@pytest.fixture
def http_port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_http_is_ready_below_400(http_port: int) -> None:
    assert is_ready(f"http://127.0.0.1:{http_port}/fine")
    assert not is_ready(f"http://127.0.0.1:{http_port}/")


def test_tcp_is_ready_when_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert is_ready(f"tcp://127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize("scheme", ["http", "tcp", "kafka"])
def test_nobody_is_not_ready(scheme: str) -> None:
    assert not is_ready(f"{scheme}://127.0.0.1:{free_port()}")


@pytest.mark.kafka
def test_kafka_is_ready_when_it_names_itself(kafka: str) -> None:
    assert is_ready(f"kafka://{kafka}")


@pytest.mark.parametrize("address", ["ftp://127.0.0.1:1", "http://192.0.2.1:80/", "tcp://127.0.0.1", "kafka"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(LocalStackError, match="is no probe"):
        check_probe(address)
