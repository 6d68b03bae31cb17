from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import Producer

from aiosv3.app.localstack import schemalog
from aiosv3.app.localstack.catalog import Catalog, Entry, RegistryError
from aiosv3.app.localstack.ports import free_port
from aiosv3.app.localstack.schemalog import SchemaLog

DEADLINE = 40.0


def schema(name: str, fields: int = 1) -> str:
    described = [{"name": f"f{number}", "type": "int", "default": number} for number in range(fields)]
    return json.dumps({"type": "record", "name": name, "fields": described})


def opened(bootstrap: str, topic: str) -> tuple[Catalog, SchemaLog]:
    catalog = Catalog()
    return catalog, SchemaLog(bootstrap, topic, catalog.apply)


def registers(catalog: Catalog, subject: str, text: str) -> Callable[[], list[Entry]]:
    return lambda: catalog.register(subject, text)


@pytest.mark.kafka
def test_the_topic_keeps_everything(kafka: str, topic_prefix: str) -> None:
    topic = topic_prefix + "_schemas"
    catalog, log = opened(kafka, topic)
    for fields in (1, 2):
        log.append(registers(catalog, "a", schema("A", fields)))
    log.append(lambda: catalog.set_level("FULL", "a"))
    doomed = catalog.versions("a")[:1]
    log.append(lambda: catalog.delete(doomed))
    again, _ = opened(kafka, topic)
    assert again.versions("a") == catalog.versions("a")
    assert [version.version for version in again.versions("a")] == [2]
    assert (again.level("a"), again.schema("1")) == ("FULL", schema("A", 1))


@pytest.mark.kafka
def test_what_one_registry_appends_the_other_reads(kafka: str, topic_prefix: str) -> None:
    topic = topic_prefix + "_schemas"
    (one, log), (two, other) = opened(kafka, topic), opened(kafka, topic)
    log.append(registers(one, "a", schema("A")))
    other.append(registers(two, "b", schema("B")))
    assert two.version("a", "latest").id == 1
    assert two.version("b", "latest").id == 2


@pytest.mark.kafka
def test_two_that_append_at_once_never_disagree(kafka: str, topic_prefix: str) -> None:
    """Every answer that a client got is what a third one reads from the topic: no version and no id given twice."""
    topic = topic_prefix + "_schemas"
    registries = [opened(kafka, topic) for _ in range(2)]
    start = threading.Barrier(4, timeout=DEADLINE)

    def write(worker: int) -> list[tuple[str, int, int, str]]:
        catalog, log = registries[worker % 2]
        start.wait()
        answers = []
        for number in range(10):
            subject, text = f"s{number % 2}", schema(f"A{number % 2}", 1 + worker * 10 + number)
            log.append(registers(catalog, subject, text))
            found = catalog.find(subject, text)
            answers.append((subject, found.version, found.id, text))
        return answers

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for done in pool.map(write, range(4)) for answer in done]
    third, _ = opened(kafka, topic)
    assert len({(subject, version) for subject, version, _, _ in answers}) == 40
    assert len({schema_id for _, _, schema_id, _ in answers}) == 40
    for subject, version, schema_id, text in answers:
        assert third.version(subject, str(version)).schema == text
        assert third.schema(str(schema_id)) == text


def test_a_decision_is_made_again_when_another_entry_came_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a broker: what counts is whether ``decide`` has anything left to say."""
    log = object.__new__(SchemaLog)
    log._topic, log._appending = "topic", threading.Lock()
    written: list[Entry] = []
    monkeypatch.setattr(log, "read", lambda: None)
    monkeypatch.setattr(log, "_write", lambda *entry: written.append(entry))
    left = [[("a", "1"), ("b", "1")], [("b", "2")], []]
    log.append(lambda: left.pop(0))
    assert written == [("a", "1"), ("b", "1"), ("b", "2")]
    with pytest.raises(RegistryError, match="were faster"):
        log.append(lambda: [("a", "1")])


def test_without_a_broker_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemalog, "_TIMEOUT_S", 0.5)
    with pytest.raises(RegistryError, match="nowhere could not be created"):
        opened(f"127.0.0.1:{free_port()}", "nowhere")


@pytest.mark.kafka
def test_a_broker_that_is_gone_fails_the_append_and_not_the_reading(
    kafka: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemalog, "_TIMEOUT_S", 0.5)
    catalog, log = opened(kafka, topic_prefix + "_schemas")
    log._producer = Producer(
        {"bootstrap.servers": f"127.0.0.1:{free_port()}", "delivery.timeout.ms": 300, "log_level": 0}
    )
    with pytest.raises(RegistryError, match="did not take the record") as caught:
        log.append(registers(catalog, "a", schema("A")))
    assert caught.value.code == 50001
    log.read()
    assert catalog.subjects() == []
