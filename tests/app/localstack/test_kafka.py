from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from aiosv3.app.localstack.distribution import KafkaDistribution
from aiosv3.app.localstack.errors import LocalStackError, PortTaken
from aiosv3.app.localstack.kafka import KafkaServer, kafka_answers
from aiosv3.app.localstack.processes import identify

if TYPE_CHECKING:
    from tests.conftest import KafkaTopics

# Several JVM starts: on a busy machine each takes a quarter of a minute.
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def _produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0})
    producer.produce(topic, value)
    assert producer.flush(20) == 0


def _first_value(bootstrap: str, topic: str) -> bytes | None:
    settings = {
        "bootstrap.servers": bootstrap,
        "group.id": uuid.uuid4().hex,
        "auto.offset.reset": "earliest",
        "log_level": 0,
    }
    consumer = Consumer(settings)
    try:
        consumer.subscribe([topic])
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        return message.value()
    finally:
        consumer.close()


def test_shared_broker_takes_and_gives_records(kafka: str, kafka_topics: KafkaTopics) -> None:
    topic = kafka_topics.create("letters", partitions=2)
    bootstrap = kafka
    _produce(bootstrap, topic, b"hello")
    assert _first_value(bootstrap, topic) == b"hello"
    resource = ConfigResource(ResourceType.TOPIC, topic)
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    configured = admin.describe_configs([resource])[resource].result(20)
    assert configured["message.timestamp.type"].value == "LogAppendTime"
    assert configured["max.message.bytes"].value == str(8 * 1024 * 1024)


def test_a_record_survives_kill_and_restart(
    kafka_server: KafkaServer, kafka_topics_at: Callable[[str, str], KafkaTopics]
) -> None:
    bootstrap = kafka_server.bootstrap
    topic = kafka_topics_at(bootstrap, "p.").create("kept", partitions=1)
    _produce(bootstrap, topic, b"kept")
    kafka_server.kill9()
    assert kafka_server.process() is None
    assert not kafka_answers(bootstrap)
    assert kafka_server.start() == bootstrap
    assert _first_value(bootstrap, topic) == b"kept"
    assert kafka_server.restart() == bootstrap
    assert _first_value(bootstrap, topic) == b"kept"


def test_a_second_server_on_the_folder_finds_the_running_one(kafka_server: KafkaServer) -> None:
    running = kafka_server.process()
    assert running is not None
    # A Ctrl-C in our terminal goes to our process group: the node is in another one.
    assert os.getpgid(running.pid) != os.getpgid(0)
    second = KafkaServer(kafka_server.folder)
    assert second.start() == kafka_server.bootstrap
    assert second.process() == running
    second.stop()
    assert kafka_server.process() is None
    second.stop()


def test_a_taken_port_is_said_in_words(tmp_path: Path, kafka_distribution: KafkaDistribution) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = KafkaServer(tmp_path, port=port, distribution=kafka_distribution)
        with pytest.raises(PortTaken, match=f"port {port} on 127.0.0.1 is taken by another program"):
            server.start()


def test_a_start_that_fails_shows_the_end_of_the_log(tmp_path: Path, kafka_distribution: KafkaDistribution) -> None:
    settings = {"controller.quorum.election.backoff.max.ms": "no number"}
    server = KafkaServer(tmp_path, distribution=kafka_distribution, settings=settings)
    with pytest.raises(LocalStackError, match="no number"):
        server.start()
    assert server.process() is None


class _Admin:
    """A broker that answers out of its memory, with a controller that does not, or not yet."""

    answer: object = None

    def __init__(self, _settings: object) -> None:
        """Connects to nothing."""

    def list_topics(self, timeout: float) -> SimpleNamespace:
        return SimpleNamespace(brokers={1: "itself"})

    def create_topics(self, topics: list[NewTopic], **options: object) -> dict[str, Future[None]]:
        assert options["validate_only"] is True, "a probe must not create anything"
        future: Future[None] = Future()
        if isinstance(_Admin.answer, Exception):
            future.set_exception(_Admin.answer)
        else:
            future.set_result(None)
        return {topics[0].topic: future}


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (None, True),
        (KafkaException(KafkaError(KafkaError.TOPIC_ALREADY_EXISTS)), True),
        (KafkaException(KafkaError(KafkaError._TIMED_OUT, "Failed while waiting for controller")), False),
        (TimeoutError(), False),
    ],
)
def test_a_broker_is_ready_when_its_controller_is(
    monkeypatch: pytest.MonkeyPatch, answer: Exception | None, ready: bool
) -> None:
    monkeypatch.setattr("confluent_kafka.admin.AdminClient", _Admin)
    monkeypatch.setattr(_Admin, "answer", answer)
    with socket.create_server(("127.0.0.1", 0)) as broker:
        assert kafka_answers(f"127.0.0.1:{broker.getsockname()[1]}") == ready


def test_bootstrap_before_the_first_start_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="call start"):
        _ = KafkaServer(tmp_path).bootstrap


def test_a_stale_pid_file_never_hits_a_stranger(tmp_path: Path) -> None:
    me = identify(os.getpid())
    assert me is not None
    (tmp_path / "kafka.pid").write_text(f'{{"pid": {me.pid}, "started": "another time"}}')
    server = KafkaServer(tmp_path)
    server.kill9()
    server.stop()
    assert server.process() is None
