"""The twin as processes, and what its group has left to do."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from aiosv3.app.demo import twin
from aiosv3.app.demo.stack import DemoFailed
from aiosv3.app.demo.topiclog import Raw
from aiosv3.app.settings import PoolSettings
from aiosv3.schemas.headers import Clearance

POOLS = {
    "cloud": PoolSettings(kind="openai", model="m", api_key_env="KEY", clearance=Clearance.PUBLIC),
    "local": PoolSettings(kind="local"),
}


def test_our_workers_ask_through_the_counter_and_have_no_key() -> None:
    behind = twin.behind_meter(POOLS, 77)
    assert behind["cloud"].base_url == "http://127.0.0.1:77/ours/cloud/v1"
    assert (behind["cloud"].api_key_env, behind["cloud"].clearance) == ("", Clearance.PUBLIC)
    assert (behind["local"].kind, behind["local"].model) == ("openai", POOLS["local"].model)
    assert behind["local"].clearance is Clearance.RESTRICTED
    written = behind["local"].model_dump(mode="json", exclude_unset=True)
    assert PoolSettings(**json.loads(json.dumps(written))) == behind["local"]


def test_the_model_has_the_pools_as_they_were(tmp_path: Path) -> None:
    spec = twin.model_spec(POOLS, 77, tmp_path / "aiosv3.toml", tmp_path / "calls", tmp_path)
    assert spec.ready == "http://127.0.0.1:77/"
    kept = {name: PoolSettings(**values) for name, values in json.loads(spec.env["AIOSV3_POOLS"]).items()}
    assert kept == POOLS


def test_loops_start_when_the_topics_are_there_and_come_back_as_our_workers_do(tmp_path: Path) -> None:
    specs = twin.naive_specs(2, "b", "t", POOLS, 77, tmp_path)
    model = twin.model_spec(POOLS, 77, tmp_path, tmp_path, tmp_path)
    assert {spec.stage for spec in specs} == {model.stage + 1}
    assert not any(spec.restart.never for spec in specs)


def test_a_loop_that_would_show_a_pool_too_much_does_not_run() -> None:
    """It sends whatever comes."""
    assert twin.sees_everything(POOLS, Clearance.PUBLIC)
    assert not twin.sees_everything(POOLS, Clearance.CONFIDENTIAL)
    assert twin.sees_everything({"local": POOLS["local"]}, Clearance.CONFIDENTIAL)


def test_its_results() -> None:
    value = {"distribution": "a", "licence": "MIT", "by": "rule"}
    raws = [Raw(0, 0, 5, (), json.dumps(value).encode()), Raw(0, 1, 6, (), None)]
    ((raw, found),) = twin.read_results(raws)
    assert (raw.timestamp, twin.words(found)) == (5, "a: MIT (rule)")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> str:
    """A group and a topic of this test's own."""
    word = uuid.uuid4().hex
    monkeypatch.setattr(twin, "GROUP", word)
    monkeypatch.setattr(twin, "RESULTS_TOPIC", f"{word}.results")
    return word


@pytest.mark.kafka
def test_what_a_group_has_left_to_do(kafka_topics: Any, names: str) -> None:
    topic = kafka_topics.create(f"{kafka_topics.prefix}tasks", partitions=2)
    backlog = twin.Backlog(kafka_topics.bootstrap, topic, 2)
    settings = {"bootstrap.servers": kafka_topics.bootstrap, "group.id": names, "enable.auto.commit": False}
    member = Consumer(settings)
    try:
        assert backlog.is_empty()
        producer = Producer({"bootstrap.servers": kafka_topics.bootstrap})
        producer.produce(topic, b"x", partition=1)
        assert producer.flush(30) == 0
        assert not backlog.is_empty()
        member.commit(offsets=[TopicPartition(topic, 1, 1)], asynchronous=False)
        assert backlog.is_empty()
    finally:
        member.close()
        backlog.close()


@pytest.mark.kafka
def test_its_topic_and_its_group(kafka: str, names: str) -> None:
    twin.create_results(kafka, 2)
    with pytest.raises(DemoFailed, match="does not create"):
        twin.create_results(kafka, 2)
    with pytest.raises(DemoFailed, match="did not join"):
        twin.wait_joined(kafka, 1, 0.2)
    member = Consumer({"bootstrap.servers": kafka, "group.id": names})
    try:
        member.subscribe([twin.RESULTS_TOPIC])
        until(lambda: member.poll(0.1) is None and bool(member.assignment()))
        twin.wait_joined(kafka, 1)
    finally:
        member.close()


def until(true: Callable[[], bool], tries: int = 300) -> None:
    """Each try polls for a tenth of a second."""
    assert any(true() for _ in range(tries))


def test_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "_ANSWER_S", 0.2)
    with pytest.raises(DemoFailed, match="does not create"):
        twin.create_results("127.0.0.1:9", 1)
