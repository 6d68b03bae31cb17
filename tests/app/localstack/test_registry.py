from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from aiosv3.app.localstack.catalog import RegistryError
from aiosv3.app.localstack.errors import PortTaken
from aiosv3.app.localstack.registry import RegistryServer, open_registry
from aiosv3.app.localstack.registry_api import SchemaRegistry
from aiosv3.app.localstack.schemalog import SchemaLogUnavailable
from aiosv3.schemas.released import load_lock

X = {"name": "x", "type": "int"}
Y = {"name": "y", "type": "string", "default": ""}
Z = {"name": "z", "type": "int"}


def _schema(*fields: dict[str, str], **more: object) -> str:
    return json.dumps({"type": "record", "name": "A", "fields": list(fields), **more})


class _Memory:
    """A log in memory that can refuse an append, with or without keeping it."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str | None]] = []
        self.failure: str | None = None

    def replay(self) -> list[tuple[str, str | None]]:
        return list(self.records)

    def append(self, key: str, value: str | None) -> None:
        if self.failure != "lost":
            self.records.append((key, value))
        if self.failure is not None:
            raise SchemaLogUnavailable("no answer")


@pytest.fixture
def memory() -> _Memory:
    return _Memory()


@pytest.fixture
def registry(memory: _Memory) -> SchemaRegistry:
    return SchemaRegistry(memory, [(1_094_000_001, _schema(X, name="Released"))])


def _post(registry: SchemaRegistry, path: str, schema: str, **more: object) -> Any:
    return registry.handle("POST", path, {}, {"schema": schema, **more})


def _refused(call: Callable[[], object]) -> tuple[int, int]:
    with pytest.raises(RegistryError) as caught:
        call()
    return caught.value.status, caught.value.code


def test_versions_and_ids(registry: SchemaRegistry) -> None:
    assert _post(registry, "/subjects/a/versions", _schema(X))["id"] == 1
    assert _post(registry, "/subjects/a/versions", _schema(X, Y))["id"] == 2
    assert _post(registry, "/subjects/a/versions", _schema(X))["version"] == 1
    assert _post(registry, "/subjects/b%2Fc/versions", _schema(X, Y))["id"] == 2
    assert registry.handle("GET", "/subjects", {}, {}) == ["a", "b/c"]
    assert registry.handle("GET", "/subjects", {"subjectPrefix": "b"}, {}) == ["b/c"]
    assert registry.handle("GET", "/subjects/a/versions", {}, {}) == [1, 2]
    assert registry.handle("GET", "/subjects/a/versions/latest", {}, {})["version"] == 2
    assert registry.handle("GET", "/subjects/a/versions/1/schema", {}, {}) == json.loads(_schema(X))
    assert registry.handle("GET", "/schemas/ids/1", {}, {}) == {"schema": _schema(X)}
    assert registry.handle("GET", "/schemas/ids/2/schema", {}, {}) == json.loads(_schema(X, Y))
    uses = registry.handle("GET", "/schemas/ids/2/versions", {}, {})
    assert uses == [{"subject": "a", "version": 2}, {"subject": "b/c", "version": 1}]
    assert _post(registry, "/subjects/a", _schema(X))["version"] == 1


def test_documentation_alone_is_no_new_version(registry: SchemaRegistry) -> None:
    first = _post(registry, "/subjects/a/versions", _schema(X))
    assert _post(registry, "/subjects/a/versions", _schema(X, doc="new words"))["id"] == first["id"]


def test_released_schemas_keep_their_ids(registry: SchemaRegistry) -> None:
    released = _schema(X, name="Released")
    assert registry.handle("GET", "/schemas/ids/1094000001", {}, {}) == {"schema": released}
    assert _post(registry, "/subjects/r/versions", released)["id"] == 1_094_000_001
    assert _post(registry, "/subjects/a/versions", _schema(X))["id"] == 1


def test_an_id_in_the_body_is_honoured(registry: SchemaRegistry) -> None:
    assert _post(registry, "/subjects/a/versions", _schema(X), id=1_094_000_900)["id"] == 1_094_000_900
    assert _post(registry, "/subjects/a/versions", _schema(X), id=1_094_000_900)["version"] == 1
    assert _post(registry, "/subjects/a/versions", _schema(X, Y))["id"] == 1
    taken = lambda: _post(registry, "/subjects/c/versions", _schema(Z), id=1_094_000_900)  # noqa: E731
    assert _refused(taken) == (422, 42205)


def test_refusals_have_confluent_codes(registry: SchemaRegistry) -> None:
    _post(registry, "/subjects/a/versions", _schema(X))
    get: Callable[[str], Callable[[], object]] = lambda path: lambda: registry.handle("GET", path, {}, {})  # noqa: E731
    assert _refused(get("/subjects/none/versions")) == (404, 40401)
    assert _refused(get("/subjects/a/versions/9")) == (404, 40402)
    assert _refused(get("/subjects/a/versions/first")) == (422, 42202)
    assert _refused(get("/schemas/ids/77")) == (404, 40403)
    assert _refused(get("/schemas/ids/many")) == (404, 40403)
    assert _refused(get("/config/a")) == (404, 40408)
    assert _refused(get("/nothing")) == (404, 404)
    assert _refused(lambda: _post(registry, "/subjects/a", _schema(Z))) == (404, 40403)
    assert _refused(lambda: _post(registry, "/subjects/a/versions", _schema(X, Z))) == (409, 409)
    for bad in ("{", '{"type": "nonsense"}', '{"type": "record"}', "7", "null", "[" * 100_000):
        assert _refused(lambda bad=bad: _post(registry, "/subjects/n/versions", bad)) == (422, 42201)  # type: ignore[misc]
    json_schema = lambda: _post(registry, "/subjects/n/versions", _schema(X), schemaType="JSON")  # noqa: E731
    assert _refused(json_schema) == (422, 42201)
    assert _refused(lambda: registry.handle("PUT", "/config", {}, {"compatibility": "SOME"})) == (422, 42203)
    assert _refused(lambda: registry.handle("PUT", "/mode", {}, {"mode": "SOME"})) == (422, 42204)


@pytest.mark.parametrize(
    ("level", "change", "allowed"),
    [
        ("BACKWARD_TRANSITIVE", _schema(X, Y), True),
        ("BACKWARD_TRANSITIVE", _schema(X, Z), False),
        ("FORWARD", _schema(X, Z), True),
        ("FORWARD", _schema(), False),
        ("FULL", _schema(X, Z), False),
        ("FULL_TRANSITIVE", _schema(X, Y), True),
        ("NONE", _schema(Z), True),
    ],
)
def test_levels(registry: SchemaRegistry, level: str, change: str, allowed: bool) -> None:
    _post(registry, "/subjects/a/versions", _schema(X))
    registry.handle("PUT", "/config/a", {}, {"compatibility": level})
    assert registry.handle("GET", "/config/a", {}, {}) == {"compatibilityLevel": level}
    answer = _post(registry, "/compatibility/subjects/a/versions/latest", change)
    assert answer == {"is_compatible": allowed}
    if allowed:
        assert _post(registry, "/subjects/a/versions", change)["version"] == 2
    else:
        assert _refused(lambda: _post(registry, "/subjects/a/versions", change)) == (409, 409)
    assert registry.handle("DELETE", "/config/a", {}, {}) == {"compatibilityLevel": level}
    assert registry.handle("GET", "/config", {}, {}) == {"compatibilityLevel": "BACKWARD_TRANSITIVE"}


def test_modes(registry: SchemaRegistry) -> None:
    registry.handle("PUT", "/mode", {}, {"mode": "READONLY"})
    assert _refused(lambda: _post(registry, "/subjects/a/versions", _schema(X))) == (422, 42205)
    registry.handle("PUT", "/mode/a", {}, {"mode": "IMPORT"})
    _post(registry, "/subjects/a/versions", _schema(X), id=5)
    _post(registry, "/subjects/a/versions", _schema(Z), id=6)
    assert registry.handle("GET", "/mode/a", {}, {}) == {"mode": "IMPORT"}


def test_deletions_keep_ids_readable(registry: SchemaRegistry) -> None:
    _post(registry, "/subjects/a/versions", _schema(X))
    _post(registry, "/subjects/a/versions", _schema(X, Y))
    hard = partial(registry.handle, "DELETE", "/subjects/a", {"permanent": "true"}, {})
    assert _refused(hard) == (404, 40405)
    assert registry.handle("DELETE", "/subjects/a/versions/2", {}, {}) == 2
    assert registry.handle("DELETE", "/subjects/a", {}, {}) == [1]
    assert registry.handle("GET", "/subjects", {}, {}) == []
    assert registry.handle("GET", "/subjects", {"deleted": "true"}, {}) == ["a"]
    assert registry.handle("GET", "/schemas/ids/1", {}, {}) == {"schema": _schema(X)}
    assert _post(registry, "/subjects/a/versions", _schema(X))["version"] == 3
    registry.handle("DELETE", "/subjects/a", {}, {})
    assert hard() == [1, 2, 3]
    assert registry.handle("GET", "/subjects", {"deleted": "true"}, {}) == []


def test_a_restart_knows_what_was_known(registry: SchemaRegistry, memory: _Memory) -> None:
    _post(registry, "/subjects/a/versions", _schema(X))
    registry.handle("PUT", "/config", {}, {"compatibility": "FULL"})
    memory.records.append(('{"keytype": "NOOP", "magic": 0}', None))
    again = SchemaRegistry(memory)
    again.load()
    assert again.handle("GET", "/subjects/a/versions", {}, {}) == [1]
    assert again.handle("GET", "/config", {}, {}) == {"compatibilityLevel": "FULL"}


@pytest.mark.parametrize(("failure", "known"), [("lost", []), ("kept", ["a"])])
def test_after_an_unknown_outcome_the_log_decides(
    registry: SchemaRegistry, memory: _Memory, failure: str, known: list[str]
) -> None:
    memory.failure = failure
    with pytest.raises(SchemaLogUnavailable):
        _post(registry, "/subjects/a/versions", _schema(X))
    memory.failure = None
    assert registry.handle("GET", "/subjects", {}, {}) == known


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
        memory.failure = "lost"
        failed = client.put("/mode", json={"mode": "READONLY"})
        assert (failed.status_code, failed.json()["error_code"]) == (500, 50001)
        assert client.post("/", content=iter([b"{}"])).status_code == 413


def test_a_taken_port_is_said_in_words(registry: SchemaRegistry) -> None:
    with RegistryServer(registry) as first, pytest.raises(PortTaken, match="the schema registry"):
        RegistryServer(registry, first.server_port)


@pytest.mark.kafka
def test_the_topic_keeps_everything(kafka: str, topic_prefix: str) -> None:
    topic = topic_prefix + "_schemas"
    first = open_registry(kafka, topic)
    assert _post(first, "/subjects/a/versions", _schema(X))["id"] == 1
    assert _post(first, "/subjects/a/versions", _schema(X, Y))["id"] == 2
    first.handle("DELETE", "/subjects/a/versions/1", {}, {})
    second = open_registry(kafka, topic)
    assert second.handle("GET", "/subjects/a/versions", {}, {}) == [2]
    for release in load_lock():
        assert second.handle("GET", f"/schemas/ids/{release.id}/schema", {}, {}) == release.schema


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
