"""Several real Kafka nodes on loopback that replicate everything: what a single one cannot show."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.app.localstack.files import write_atomic
from aiosv3.app.localstack.kafka import KafkaServer, wait_for_kafka
from aiosv3.app.localstack.logs import last_line
from aiosv3.app.localstack.ports import LOOPBACK, free_port

START_TIMEOUT_S: Final = 180.0
_NODES: Final = 3
_HEAP_MB: Final = 192
_SETTINGS: Final = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
}


def _fresh_id() -> str:
    """As Kafka writes its ids, without a dash in front: its tools would take it for an option."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Seat:
    """One node of a cluster: its ports, and the id of its data folder."""

    id: int
    client: int
    controller: int
    directory: str


class ClusterNode(KafkaServer):
    """A node of a cluster; all are brokers and controllers."""

    def __init__(
        self, folder: Path, seats: Sequence[Seat], seat: Seat, cluster: str, settings: Mapping[str, str]
    ) -> None:
        own = {**settings, "node.id": str(seat.id)}
        super().__init__(folder, port=seat.client, settings=own, heap_mb=_HEAP_MB)
        self.seat = seat
        self._seats = seats
        self._cluster = cluster
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "ports.json", json.dumps({"client": seat.client, "controller": seat.controller}))

    def begin(self) -> None:
        """Starts the process; :meth:`wait` waits for it: a single node of three answers nobody."""
        if self.process() is None:
            self._launch()

    def wait(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Until it answers. Raises ``NotReady``."""
        wait_for_kafka(self.bootstrap, self.log, lambda: self.process() is not None, timeout_s)

    def _format(self, class_path: str) -> None:
        """As one of several: all know from the start who the others are."""
        if (self.folder / "cluster.id").exists():
            return
        voters = ",".join(f"{seat.id}@{LOOPBACK}:{seat.controller}:{seat.directory}" for seat in self._seats)
        tool = [*self._java(class_path), "kafka.tools.StorageTool", "format", "-t", self._cluster]
        command = [*tool, "-c", str(self.folder / "server.properties"), "--initial-controllers", voters]
        log = self.folder / "format.log"
        with log.open("wb") as output:
            environment = {**os.environ, **self.environment()}
            done = subprocess.run(command, env=environment, stdout=output, stderr=output, check=False)  # noqa: S603
        if done.returncode != 0:
            said = last_line(log) or f"exit code {done.returncode}"
            raise LocalStackError(f"Kafka's storage in {self.folder} could not be formatted: {said} (log: {log})")
        write_atomic(self.folder / "cluster.id", self._cluster)


class KafkaCluster:
    """Three nodes: three replicas of everything, two of which must have a record before it is acknowledged.

    For tests and measurements: ports are chosen anew for each object, so its folder must be fresh.
    """

    def __init__(self, folder: Path) -> None:
        seats = [Seat(number, free_port(), free_port(), _fresh_id()) for number in range(1, _NODES + 1)]
        voters = ",".join(f"{LOOPBACK}:{seat.controller}" for seat in seats)
        settings = {**_SETTINGS, "controller.quorum.bootstrap.servers": voters}
        cluster = _fresh_id()
        self.nodes = [ClusterNode(folder / f"kafka-{seat.id}", seats, seat, cluster, settings) for seat in seats]

    @property
    def bootstrap(self) -> str:
        """The addresses of all nodes."""
        return ",".join(node.bootstrap for node in self.nodes)

    def start(self, timeout_s: float = START_TIMEOUT_S) -> str:
        """Starts those that do not run, waits until all answer; returns ``bootstrap``."""
        for node in self.nodes:
            node.begin()
        for node in self.nodes:
            node.wait(timeout_s)
        return self.bootstrap

    def stop(self) -> None:
        """Ends all nodes; their data stay. Not in peace: the last of three waits for the others in vain."""
        for node in self.nodes:
            node.kill9()
