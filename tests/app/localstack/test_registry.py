from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from aiosv3.app.localstack import schemalog
from aiosv3.app.localstack.errors import PortTaken
from aiosv3.app.localstack.ports import free_port
from aiosv3.app.localstack.registry import RegistryServer, main, open_registry
from aiosv3.app.localstack.registry_api import SchemaRegistry
from aiosv3.app.localstack.schemalog import SchemaLogUnavailable

X = {"name": "x", "type": "int"}
Y = {"name": "y", "type": "string", "default": ""}
Z = {"name": "z", "type": "int"}


def _schema(*fields: dict[str, str]) -> str:
    return json.dumps({"type": "record", "name": "A", "fields": list(fields)})


class _Memory:
    """A log in memory that can be cut off."""

    def __init__(self) -> None:
        self.cut = False

    def replay(self) -> list[tuple[str, str | None]]:
        return []

    def append(self, _key: str, _value: str | None) -> None:
        if self.cut:
            raise SchemaLogUnavailable("no answer")


@pytest.fixture
def memory() -> _Memory:
    return _Memory()


@pytest.fixture
def registry(memory: _Memory) -> SchemaRegistry:
    return SchemaRegistry(memory)


@pytest.fixture
def serve() -> Iterator[Callable[[SchemaRegistry], RegistryServer]]:
    running: list[tuple[RegistryServer, threading.Thread]] = []

    def start(registry: SchemaRegistry) -> RegistryServer:
        server = RegistryServer(registry)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def test_http(registry: SchemaRegistry, serve: Callable[[SchemaRegistry], RegistryServer], memory: _Memory) -> None:
    with httpx.Client(base_url=serve(registry).url, trust_env=False) as client:
        assert client.get("/").json() == {}
        created = client.post("/subjects/a%2Fb/versions", json={"schema": _schema(X)})
        assert (created.status_code, created.json()["id"]) == (200, 1)
        assert created.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
        assert client.get("/subjects/").json() == ["a/b"]
        missing = client.get("/subjects/none/versions/1")
        assert (missing.status_code, missing.json()["error_code"]) == (404, 40401)
        assert client.post("/subjects/a/versions", content=b"{").status_code == 400
        assert client.post("/subjects/a/versions", content=b"[]").status_code == 400
        memory.cut = True
        failed = client.put("/mode", json={"mode": "READONLY"})
        assert (failed.status_code, failed.json()["error_code"]) == (500, 50001)
        assert client.post("/", content=iter([b"{}"])).status_code == 413


def test_a_taken_port_is_said_in_words(registry: SchemaRegistry) -> None:
    with RegistryServer(registry) as first, pytest.raises(PortTaken, match="the schema registry"):
        RegistryServer(registry, first.server_port)


@pytest.mark.kafka
@pytest.mark.filterwarnings("ignore:The httpx module is deprecated")
def test_confluents_own_client(
    kafka: str, topic_prefix: str, serve: Callable[[SchemaRegistry], RegistryServer]
) -> None:
    pytest.importorskip("authlib", reason="the client of confluent-kafka needs its schemaregistry extra")
    module: Any = importlib.import_module("confluent_kafka.schema_registry")
    refusal: Any = importlib.import_module("confluent_kafka.schema_registry.error").SchemaRegistryError
    one, two, bad = (module.Schema(text, "AVRO") for text in (_schema(X), _schema(X, Y), _schema(X, Z)))
    url = serve(open_registry(kafka, topic_prefix + "_schemas")).url
    with module.SchemaRegistryClient({"url": url}) as client:
        assert client.register_schema("a", one) == 1
        assert client.register_schema_full_response("a", two).version == 2
        assert client.lookup_schema("a", one).version == 1
        assert client.get_latest_version("a").schema_id == 2
        assert not client.test_compatibility("a", bad)
        with pytest.raises(refusal) as caught:
            client.register_schema("a", bad)
        assert (caught.value.http_status_code, caught.value.error_code) == (409, 409)
        client.set_compatibility("a", "NONE")
        assert client.get_compatibility("a") == "NONE"
        assert client.register_schema("a", bad) == 3
        assert client.delete_subject("a") == [1, 2, 3]
        assert client.get_schema(3).schema_str == bad.schema_str


@pytest.mark.process
def test_the_program_says_why_it_cannot_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemalog, "_TIMEOUT_S", 0.5)
    assert main(["--bootstrap", f"127.0.0.1:{free_port()}", "--port", "0"]) == 1
    assert "the schema registry cannot start: _schemas could not be created" in capsys.readouterr().err
