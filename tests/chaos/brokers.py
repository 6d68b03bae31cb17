"""Brokers to be killed: one node, three nodes that replicate, one behind a relay, one on a small disk."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.chaos.relay import Relay

from aiosv3.app.localstack.cluster import KafkaCluster
from aiosv3.app.localstack.files import write_atomic
from aiosv3.app.localstack.kafka import KafkaServer
from aiosv3.app.localstack.ports import LOOPBACK, free_port

START_S: Final = 180.0
_MIB: Final = 1 << 20


class Brokers:
    """What a stage runs on. ``bootstrap``: for the workers; ``plain``: for clients and the checker."""

    def __init__(self, servers: Sequence[KafkaServer]) -> None:
        self.servers = list(servers)

    @property
    def bootstrap(self) -> str:
        return ",".join(server.bootstrap for server in self.servers)

    @property
    def plain(self) -> str:
        return self.bootstrap

    def start(self) -> None:
        """Returns when all answer."""
        for server in self.servers:
            server.start(START_S)

    def heal(self) -> None:
        """All run, and nothing is in their way."""
        self.start()

    def close(self) -> None:
        """Ends them; their data stay where they are."""
        for server in self.servers:
            server.kill9()


class Single(Brokers):
    """One node."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__([KafkaServer(folder / "kafka", settings=settings)])


class Three(Brokers):
    """Three nodes: three replicas of everything, two of them have to have a record before it is acknowledged."""

    def __init__(self, folder: Path) -> None:
        self._cluster = KafkaCluster(folder)
        super().__init__(self._cluster.nodes)

    def start(self) -> None:
        self._cluster.start(START_S)


class Relayed(Brokers):
    """One node which the workers reach through a relay alone. Clients and the checker have a way of their own."""

    def __init__(self, folder: Path) -> None:
        self._inner, self._outer, controller = free_port(), free_port(), free_port()
        self.relay = Relay(self._outer)
        self.relay.start()
        place = folder / "kafka"
        place.mkdir(parents=True, exist_ok=True)
        write_atomic(place / "ports.json", json.dumps({"client": self._inner, "controller": controller}))
        listeners = f"PLAINTEXT://{LOOPBACK}:{self._inner},CONTROLLER://{LOOPBACK}:{controller}"
        settings = {
            "listeners": f"{listeners},FAR://{LOOPBACK}:{self._outer}",
            "advertised.listeners": f"{listeners},FAR://{LOOPBACK}:{self.relay.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,FAR:PLAINTEXT",
        }
        super().__init__([KafkaServer(place, port=self._inner, settings=settings)])

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.relay.port}"

    @property
    def plain(self) -> str:
        return self.servers[0].bootstrap

    def heal(self) -> None:
        self.relay.heal()

    def close(self) -> None:
        super().close()
        self.relay.close()


class NotHere(Exception):
    """This machine does not have, or does not allow, what a scenario needs: in words."""


class SmallDisk(Brokers):
    """One node whose data lie on a file system of ``size`` MiB, in a mount namespace of their own.

    Needs neither root nor a mount that outlives the run. Raises :class:`NotHere` where that is not allowed.
    """

    def __init__(self, folder: Path, size: int = 64) -> None:
        place = folder / "disk"
        place.mkdir(parents=True)
        script = f'mount -t tmpfs -o size={size}m small "{place}" && echo mounted && exec sleep 86400'
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
        if shutil.which("unshare") is None:
            raise NotHere("there is no unshare (util-linux) on this machine")
        self._keeper = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline().strip() != "mounted":
            said = self._keeper.communicate()[1].strip()
            raise NotHere(f"a small file system cannot be made here: {said}")
        self.disk = Path(f"/proc/{self._keeper.pid}/root{place.resolve()}")
        super().__init__([KafkaServer(folder / "kafka", settings={"log.dirs": str(self.disk / "data")})])

    def fill(self) -> int:
        """Takes all that is left; returns how many bytes."""
        ballast, took = self.disk / "ballast", 0
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    took += file.write(b"x" * _MIB) or 0
            except OSError:
                return took

    def empty(self) -> None:
        """Gives it back."""
        (self.disk / "ballast").unlink(missing_ok=True)

    def heal(self) -> None:
        """A broker without room ends by itself, sooner or later: now."""
        self.empty()
        self.servers[0].kill9()
        self.start()

    def close(self) -> None:
        super().close()
        self._keeper.send_signal(signal.SIGKILL)
        self._keeper.wait()
