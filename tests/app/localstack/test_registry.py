from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from aiosv3.app.localstack import schemalog
from aiosv3.app.localstack.catalog import Entry
from aiosv3.app.localstack.errors import PortTaken
from aiosv3.app.localstack.ports import LOOPBACK, free_port
from aiosv3.app.localstack.registry import RegistryServer, main
from aiosv3.app.localstack.schemalog import MAX_BYTES, SchemaLog
from aiosv3.schemas.released import load_lock

SCHEMA = json.dumps({"type": "record", "name": "A", "fields": []})
JSON = {"content-type": "application/json"}


class MemoryLog(SchemaLog):
    """A log without a broker; ``stuck`` holds every append until it is cleared."""

    def __init__(self, apply: Callable[[Any, Any], None]) -> None:
        self._apply = apply
        self.stuck = threading.Event()
        self.stuck.set()

    def read(self, until: int = -1) -> None: ...

    def append(self, decide: Callable[[], list[Entry]]) -> None:
        assert self.stuck.wait(40.0)
        for entry in decide():
            self._apply(*entry)


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer(MemoryLog) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(server: RegistryServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=40.0) as client:
        yield client


def code(answer: httpx.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["error_code"]


def test_it_listens_on_loopback_alone(server: RegistryServer) -> None:
    assert server.server_address[0] == LOOPBACK


def test_every_release_is_known_under_its_id(client: httpx.Client) -> None:
    for release in load_lock():
        assert json.loads(client.get(f"/schemas/ids/{release.id}").json()["schema"]) == release.schema
    release = load_lock()[0]
    registered = client.post("/subjects/a/versions", json={"schema": json.dumps(release.schema)})
    assert registered.json()["id"] == release.id


def test_a_body_is_bounded_json_that_no_page_can_send_unasked(client: httpx.Client) -> None:
    path = "/subjects/a/versions"
    assert code(client.post(path, content=iter([b"{}"]))) == (413, 413)
    for broken in (b"{", b"[]", b"7", b"\xff", b"[" * 100_000):
        assert code(client.post(path, content=broken, headers=JSON)) == (400, 400)
    schema = json.dumps({"schema": SCHEMA}).encode()
    assert code(client.post(path, content=schema)) == (415, 415)
    for forbidden in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert code(client.post(path, content=schema, headers={"content-type": forbidden})) == (415, 415)
    assert client.get("/subjects").json() == []


def test_too_much_is_refused_before_it_is_sent(server: RegistryServer) -> None:
    with socket.create_connection((LOOPBACK, server.server_port), timeout=40.0) as connection:
        connection.sendall(
            b"POST /subjects/a/versions HTTP/1.1\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {MAX_BYTES + 1}\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert str(MAX_BYTES).encode() in answer


def test_paths_that_are_none(client: httpx.Client) -> None:
    for method, path in (("GET", "/nothing"), ("POST", "/config"), ("PUT", "/subjects/a"), ("DELETE", "/config")):
        assert code(client.request(method, path, json={"schema": SCHEMA})) == (404, 404)
    assert client.get("/").json() == {}
    assert client.get("/subjects/").json() == []


def test_reading_does_not_wait_for_a_change_that_the_broker_holds_up(
    server: RegistryServer, client: httpx.Client
) -> None:
    log = server.log
    assert isinstance(log, MemoryLog)
    log.stuck.clear()
    answers: list[httpx.Response] = []

    def set_level() -> None:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=40.0) as other:
            answers.append(other.put("/config", json={"compatibility": "NONE"}))

    change = threading.Thread(target=set_level)
    change.start()
    try:
        assert client.get("/config").json() == {"compatibilityLevel": "BACKWARD_TRANSITIVE"}
        assert answers == []
    finally:
        log.stuck.set()
        change.join()
    assert answers[0].json() == {"compatibility": "NONE"}
    assert client.get("/config").json() == {"compatibilityLevel": "NONE"}


def test_a_taken_port_is_said_in_words(server: RegistryServer) -> None:
    with pytest.raises(PortTaken, match="the schema registry"):
        RegistryServer(MemoryLog, server.server_port)


def test_the_program_says_why_it_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemalog, "_TIMEOUT_S", 0.5)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit, match="the schema registry cannot start: _schemas could not be created"):
        main(["--bootstrap", f"127.0.0.1:{free_port()}", "--port", "0"])


@pytest.mark.kafka
@pytest.mark.process
def test_the_program_serves_until_it_is_told_to_stop(kafka: str, topic_prefix: str) -> None:
    command = [sys.executable, "-m", "aiosv3.app.localstack.registry", "--bootstrap", kafka, "--port", "0"]
    process = subprocess.Popen([*command, "--topic", topic_prefix + "_schemas"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        url = said.split(",")[0].rpartition(" ")[2]
        assert httpx.get(url + "/", timeout=40.0, trust_env=False).json() == {}
    finally:
        process.terminate()
        process.stdout.close()
    assert process.wait(40.0) == 0
