from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from aiosv3.app.localstack.catalog import RegistryError
from aiosv3.app.localstack.registry_api import SchemaRegistry
from aiosv3.app.localstack.schemalog import SchemaLogUnavailable

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
