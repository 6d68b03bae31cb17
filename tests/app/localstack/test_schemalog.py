from __future__ import annotations

import json

import pytest

from aiosv3.app.localstack import schemalog
from aiosv3.app.localstack.ports import free_port
from aiosv3.app.localstack.registry import open_registry
from aiosv3.app.localstack.registry_api import SchemaRegistry
from aiosv3.app.localstack.schemalog import SchemaLog, SchemaLogUnavailable
from aiosv3.schemas.released import load_lock


def _register(registry: SchemaRegistry, fields: int) -> int:
    schema = {"type": "record", "name": "A", "fields": [_field(number) for number in range(fields)]}
    answer = registry.handle("POST", "/subjects/a/versions", {}, {"schema": json.dumps(schema)})
    return int(answer["id"])


def _field(number: int) -> dict[str, object]:
    return {"name": f"f{number}", "type": "int", "default": number}


@pytest.mark.kafka
def test_the_topic_keeps_everything(kafka: str, topic_prefix: str) -> None:
    topic = topic_prefix + "_schemas"
    first = open_registry(kafka, topic)
    assert _register(first, 1) == 1
    assert _register(first, 2) == 2
    first.handle("DELETE", "/subjects/a/versions/1", {}, {})
    second = open_registry(kafka, topic)
    assert second.handle("GET", "/subjects/a/versions", {}, {}) == [2]
    for release in load_lock():
        assert second.handle("GET", f"/schemas/ids/{release.id}/schema", {}, {}) == release.schema


def test_without_a_broker_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemalog, "_TIMEOUT_S", 0.5)
    log = SchemaLog(f"127.0.0.1:{free_port()}", "nowhere")
    with pytest.raises(SchemaLogUnavailable, match="could not be created"):
        log.ensure()
    with pytest.raises(SchemaLogUnavailable, match="could not be read"):
        list(log.replay())
    with pytest.raises(SchemaLogUnavailable, match="did not take the record"):
        log.append("{}", None)
