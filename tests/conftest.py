"""Fixtures for all tests: a real Kafka broker, topics on it, and no network beyond this machine.

``kafka`` yields a bootstrap address. It is ``$AIOSV3_TEST_BOOTSTRAP`` where set; a container where
``AIOSV3_TEST_KAFKA=container`` and a Docker engine answers; else the embedded broker, one for all pytest-xdist workers.
A machine that can have none of them skips these tests in words; with ``CI=true`` that is a failure.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from aiosv3.app.localstack.distribution import KafkaDistribution
from aiosv3.app.localstack.errors import ArtifactsUnavailable
from aiosv3.app.localstack.files import read_json, write_atomic
from aiosv3.app.localstack.kafka import KafkaServer
from aiosv3.app.localstack.locks import exclusive
from aiosv3.app.localstack.processes import ProcessId, identify, is_alive

_SHARED = "shared-kafka"
_OWNER = "owner.json"
_TOPIC_TIMEOUT_S = 30.0


class KafkaTopics:
    """Creates topics under a prefix and deletes them at the end. Timestamps are the broker's (``LogAppendTime``)."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._created: list[str] = []

    def create(self, name: str, partitions: int = 6, config: Mapping[str, str] | None = None) -> str:
        """Create ``prefix + name`` (``name`` may bring the prefix already); returns the full name once it is there."""
        full = name if name.startswith(self.prefix) else self.prefix + name
        settings = {"message.timestamp.type": "LogAppendTime", **(config or {})}
        topic = NewTopic(full, num_partitions=partitions, replication_factor=1, config=settings)
        self._admin.create_topics([topic], operation_timeout=_TOPIC_TIMEOUT_S)[full].result(_TOPIC_TIMEOUT_S)
        self._created.append(full)
        return full

    def delete_all(self) -> None:
        """Delete what ``create`` made. A broker that a test has stopped keeps its topics."""
        if not self._created:
            return
        for future in self._admin.delete_topics(self._created, request_timeout=5.0).values():
            try:
                future.result(_TOPIC_TIMEOUT_S)
            except KafkaException:
                continue
        self._created.clear()


@pytest.fixture(scope="session")
def kafka_distribution() -> KafkaDistribution:
    """The files of the embedded broker, fetched once on this machine."""
    distribution = KafkaDistribution()
    try:
        distribution.class_path()
        distribution.java()
    except ArtifactsUnavailable as error:
        _unavailable(str(error))
    return distribution


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of a real broker that all tests of the session share: use ``topic_prefix`` or ``kafka_topics``."""
    external = os.environ.get("AIOSV3_TEST_BOOTSTRAP")
    if external:
        yield external
    elif os.environ.get("AIOSV3_TEST_KAFKA") == "container":
        with _container() as bootstrap:
            yield bootstrap
    else:
        distribution = request.getfixturevalue("kafka_distribution")
        yield _shared_broker(_shared_root(tmp_path_factory), distribution)


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics, groups and subjects that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def kafka_topics(kafka: str, topic_prefix: str) -> Iterator[KafkaTopics]:
    """Topics of this test on the shared broker."""
    topics = KafkaTopics(kafka, topic_prefix)
    yield topics
    topics.delete_all()


@pytest.fixture
def kafka_topics_at() -> Callable[[str, str], KafkaTopics]:
    """Makes ``KafkaTopics(bootstrap, prefix)`` for a broker of the test's own."""
    return KafkaTopics


@pytest.fixture
def kafka_server(kafka_distribution: KafkaDistribution, tmp_path: Path) -> Iterator[KafkaServer]:
    """A broker of this test alone, started: stop, kill and restart it as you like."""
    server = KafkaServer(tmp_path / "kafka", distribution=kafka_distribution)
    server.start()
    yield server
    server.stop()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the shared broker: here, in the one process that outlives all workers."""
    if hasattr(session.config, "workerinput"):
        return
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    root = factory.getbasetemp()
    if (root / _SHARED).exists():
        KafkaServer(root / _SHARED).stop()
        if session.testsfailed == 0:
            shutil.rmtree(root / _SHARED)


def _shared_root(factory: pytest.TempPathFactory) -> Path:
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _shared_broker(root: Path, distribution: KafkaDistribution) -> str:
    # A worker's parent is the process whose session end stops the broker.
    owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    with exclusive(root / "shared-kafka.lock", 180.0):
        server = KafkaServer(root / _SHARED, distribution=distribution)
        if server.process() is None:
            _stop_orphans(root)
            write_atomic(root / _OWNER, _owner_json(owner))
        return server.start()


def _owner_json(pid: int) -> str:
    owner = identify(pid)
    return "{}" if owner is None else f'{{"pid": {owner.pid}, "started": "{owner.started}"}}'


def _stop_orphans(root: Path) -> None:
    """Stop brokers of earlier sessions whose pytest was killed before it could."""
    for record in root.parent.glob(f"*/{_OWNER}"):
        owner = ProcessId.from_json(read_json(record))
        if owner is not None and not is_alive(owner):
            for pid_file in record.parent.rglob("kafka.pid"):
                KafkaServer(pid_file.parent).kill9()
            record.unlink()


@contextmanager
def _container() -> Iterator[str]:
    """A broker in a container; one a worker."""
    try:
        engine: Any = importlib.import_module("docker.errors")
        containers: Any = importlib.import_module("testcontainers.kafka")
    except ImportError:
        _unavailable("AIOSV3_TEST_KAFKA=container needs the package testcontainers[kafka]")
    try:
        container: Any = containers.KafkaContainer().with_kraft()
        container.start()
    except engine.DockerException as error:
        _unavailable(f"AIOSV3_TEST_KAFKA=container, but no Docker engine answers: {error}")
    try:
        yield str(container.get_bootstrap_server())
    finally:
        container.stop()


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"no Kafka for the tests, and CI must have one: {reason}", pytrace=False)
    pytest.skip(f"NO KAFKA, so nothing is proven here: {reason}")


@pytest.fixture(autouse=True)
def _loopback_only(request: pytest.FixtureRequest) -> Iterator[None]:
    """Connections and name look-ups beyond this machine fail, except in tests marked ``online``.

    It sees Python's sockets; C libraries such as librdkafka have their own.
    """
    if request.node.get_closest_marker("online"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        _guard(patch, "connect")
        _guard(patch, "connect_ex")
        look_up = socket.getaddrinfo

        def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
            _refuse_unless_local(host)
            return look_up(host, *args, **kwargs)

        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        yield


def _guard(patch: pytest.MonkeyPatch, name: str) -> None:
    original = getattr(socket.socket, name)

    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            _refuse_unless_local(address[0])
        return original(self, address)

    patch.setattr(socket.socket, name, guarded)


def _refuse_unless_local(host: str | bytes | None) -> None:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name in {None, "", "localhost", "0.0.0.0", "::"}:
        return
    try:
        local = ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        local = False
    if not local:
        # Not an OSError: code under test that retries connection errors must not swallow it.
        pytest.fail(f"a test went to {name}: only loopback is allowed (mark it `online` if it must)")
