"""One real Apache Kafka node on loopback: format, start, stop, crash, restart.

Layout of its folder: ``server.properties`` (written at each start), ``ports.json``, ``cluster.id`` (written when the
storage is formatted), ``kafka.pid``, ``kafka.log``, ``data/``, ``tmp/``. The node outlives the process that started
it; a ``KafkaServer`` on the same folder finds it again.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiosv3.app.localstack.distribution import KafkaDistribution
from aiosv3.app.localstack.errors import LocalStackError, NotReady, PortTaken, tail
from aiosv3.app.localstack.files import read_json, write_atomic
from aiosv3.app.localstack.locks import exclusive
from aiosv3.app.localstack.logs import last_line, trim
from aiosv3.app.localstack.ports import LOOPBACK, answers, is_free, port_again
from aiosv3.app.localstack.processes import ProcessId, is_alive, launch, send, terminate, wait_gone

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

START_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.05
_PROBE_TOPIC: Final = "aiosv3-probe"
_JVM_FLAGS: Final = (
    "-XX:+UseSerialGC",
    # The client compiler alone starts in half the time and stays small; throughput here is not the point.
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
)
_JVM_VARIABLES: Final = frozenset({"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"})


class KafkaServer:
    """A broker-and-controller node with its data in ``folder``.

    ``port`` 0 takes the port of the last start on this folder where it is free, else another one. ``settings`` are
    added to the template (``kafka.properties``; later keys win). Not safe for use from several threads at once; several
    processes are safe.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        distribution: KafkaDistribution | None = None,
        settings: Mapping[str, str] | None = None,
        heap_mb: int = 256,
        log_level: str = "WARN",
    ) -> None:
        self.folder = folder.resolve()
        self.log = self.folder / "kafka.log"
        self._port = port
        self._distribution = distribution or KafkaDistribution()
        self._settings = dict(settings or {})
        self._heap_mb = heap_mb
        self._log_level = log_level

    @property
    def bootstrap(self) -> str:
        """``host:port`` of this node. Raises ``LocalStackError`` before the first ``prepare`` or ``start``."""
        return f"{LOOPBACK}:{self._recorded_ports()[0]}"

    def process(self) -> ProcessId | None:
        """The running Java process of this folder, whoever started it, or None."""
        recorded = ProcessId.from_json(read_json(self.folder / "kafka.pid"))
        return recorded if recorded is not None and is_alive(recorded) else None

    def start(self, timeout_s: float = START_TIMEOUT_S) -> str:
        """Start (or find) the node and wait until it answers; returns ``bootstrap``.

        Raises ``ArtifactsUnavailable``, ``PortTaken``, or ``NotReady`` with the end of the log.
        """
        with exclusive(self.folder / "start.lock", timeout_s):
            process = self.process() or self._launch()
            try:
                wait_for_kafka(self.bootstrap, self.log, lambda: is_alive(process), timeout_s)
            except NotReady as error:
                terminate(process, 5.0)
                if "Address already in use" in tail(self.log, 200):
                    raise PortTaken("Kafka", self._recorded_ports()[0]) from error
                raise
        return self.bootstrap

    def prepare(self) -> list[str]:
        """Make everything ready and return the command that runs the node, for a supervisor.

        Fetches artifacts, chooses ports, formats the storage once, writes ``server.properties``.
        """
        class_path = self._distribution.class_path()
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        (self.folder / "tmp").mkdir(parents=True)
        self._choose_ports()
        trim(self.log)
        self._write_config()
        self._format(class_path)
        return [*self._java(class_path), "kafka.Kafka", str(self.folder / "server.properties")]

    def environment(self) -> dict[str, str]:
        """What the command of ``prepare`` needs on top of the environment of its parent."""
        # An empty value switches off what the user has set for Java programs of their own.
        silenced = {name: "" for name in _JVM_VARIABLES if name in os.environ}
        return {**silenced, "KAFKA_LOG_LEVEL": self._log_level}

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop the node in peace, with SIGKILL after ``timeout_s`` seconds. Nothing happens where it is stopped."""
        process = self.process()
        if process is not None:
            terminate(process, timeout_s)
        (self.folder / "kafka.pid").unlink(missing_ok=True)

    def kill9(self) -> None:
        """Kill the node as a crash would, and wait until it is gone. ``start`` goes on from the same data."""
        process = self.process()
        if process is not None:
            send(process, signal.SIGKILL)
            wait_gone(process, STOP_TIMEOUT_S)

    def restart(self, timeout_s: float = START_TIMEOUT_S) -> str:
        """Stop in peace, start again on the same data and port."""
        self.stop()
        return self.start(timeout_s)

    def _launch(self) -> ProcessId:
        process = launch(self.prepare(), {**os.environ, **self.environment()}, self.log)
        write_atomic(self.folder / "kafka.pid", json.dumps(process.to_json()))
        return process

    def _recorded_ports(self) -> tuple[int, int]:
        ports = read_json(self.folder / "ports.json")
        if not isinstance(ports, dict):
            raise LocalStackError(f"the node in {self.folder} was never started: call start() first")
        return int(ports["client"]), int(ports["controller"])

    def _choose_ports(self) -> None:
        recorded = read_json(self.folder / "ports.json")
        known = recorded if isinstance(recorded, dict) else {}
        client = self._port or port_again(int(known.get("client", 0)))
        controller = port_again(int(known.get("controller", 0)))
        if not is_free(client):
            raise PortTaken("Kafka", client)
        write_atomic(self.folder / "ports.json", json.dumps({"client": client, "controller": controller}))

    def _write_config(self) -> None:
        client, controller = self._recorded_ports()
        package = files("aiosv3.app.localstack")
        text = package.joinpath("kafka.properties").read_text(encoding="utf-8")
        values = {"ID": "1", "PORT": str(client), "CPORT": str(controller), "DATA": str(self.folder / "data")}
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        extra = "".join(f"{name}={value}\n" for name, value in self._settings.items())
        write_atomic(self.folder / "server.properties", text + extra)
        logging = package.joinpath("kafka.log4j2.properties").read_text(encoding="utf-8")
        write_atomic(self.folder / "log4j2.properties", logging)

    def _java(self, class_path: str) -> list[str]:
        java = self._distribution.java()
        return [
            str(java.program),
            f"-Xmx{self._heap_mb}m",
            *_JVM_FLAGS,
            *java.flags(),
            # Native libraries are unpacked there; a killed JVM leaves them behind, so not in the system's folder.
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            class_path,
        ]

    def _format(self, class_path: str) -> None:
        marker = self.folder / "cluster.id"
        if marker.exists():
            return
        # No marker: nothing ever ran on what lies there; a format that was cut off starts from nothing.
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=").replace("-", "_")
        tool = [*self._java(class_path), "kafka.tools.StorageTool", "format", "--standalone", "-t", cluster]
        log = self.folder / "format.log"
        with log.open("wb") as output:
            try:
                done = subprocess.run(  # noqa: S603 - every word of it is ours
                    [*tool, "-c", str(self.folder / "server.properties")],
                    env={**os.environ, **self.environment()},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            except OSError as error:
                raise LocalStackError(f"{tool[0]} does not run on this machine: {error.strerror}") from None
        if done.returncode != 0:
            said = last_line(log) or f"exit code {done.returncode}"
            raise LocalStackError(
                f"Kafka's storage in {self.folder / 'data'} could not be formatted: {said} (log: {log})"
            )
        write_atomic(marker, cluster)


def wait_for_kafka(bootstrap: str, log: Path, alive: Callable[[], bool], timeout_s: float) -> None:
    """Wait until the broker answers a metadata request and names itself.

    Raises ``NotReady`` with the end of ``log`` where ``alive`` says that it is gone, or after ``timeout_s`` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while not kafka_answers(bootstrap):
        if not alive():
            raise NotReady("Kafka", "ended while it started", log)
        if time.monotonic() >= deadline:
            raise NotReady("Kafka", f"did not answer on {bootstrap} within {timeout_s:.0f} s", log)
        time.sleep(_POLL_S)


def kafka_answers(bootstrap: str, timeout_s: float = 2.0) -> bool:
    """Whether the broker at ``bootstrap`` (loopback) takes requests, and a controller behind it answers them.

    A broker answers questions about metadata out of its memory before its controller is ready, and after it was lost.
    """
    # librdkafka waits and retries on a dead port: ask TCP first.
    if not answers(int(bootstrap.rpartition(":")[2])):
        return False
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=timeout_s).brokers) and _controller_answers(admin, timeout_s)
    except KafkaException:
        return False


def _controller_answers(admin: AdminClient, timeout_s: float) -> bool:
    """Only the controller can say that a topic could be created."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

    wanted = NewTopic(_PROBE_TOPIC, num_partitions=1, replication_factor=1)
    asked = admin.create_topics([wanted], request_timeout=timeout_s, validate_only=True)
    try:
        asked[_PROBE_TOPIC].result(timeout_s + 1)
    except KafkaException as error:
        return bool(error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS)
    except TimeoutError:
        return False
    return True
