"""Every memory view that there is, for the contract that holds on all of them.

``AIOSV3_TEST_WEAVIATE=1`` runs it on a real Weaviate as well, built once on this machine by Go (about seven minutes,
and 150 MB that stay in the cache). Without it nothing is built, and nothing is said about Weaviate.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx
import pytest

from aiosv3.app.localstack.distribution import default_cache
from aiosv3.app.localstack.locks import exclusive
from aiosv3.app.localstack.ports import LOOPBACK, free_port, is_free
from aiosv3.app.localstack.processes import ProcessId, launch, terminate
from aiosv3.memory.views import View
from aiosv3.memory.views.embedded import EmbeddedView
from aiosv3.memory.views.weaviate import Address, Generations

NOW: Final = 1_700_000_000_000
WEAVIATE: Final = "1.39.0"
MODULE: Final = f"github.com/weaviate/weaviate/cmd/weaviate-server@v{WEAVIATE}"
BUILD_S: Final = 1800.0
DEADLINE_S: Final = 90.0
VIEWS: Final = [
    pytest.param("embedded"),
    *(
        [pytest.param("weaviate", marks=[pytest.mark.weaviate, pytest.mark.xdist_group("weaviate")])]
        if os.environ.get("AIOSV3_TEST_WEAVIATE")
        else []
    ),
]


@dataclass(slots=True)
class WeaviateServer:
    """A Weaviate of our own on this machine, with its data in ``folder``; it can be killed and started again."""

    binary: Path
    folder: Path
    ports: list[int]
    process: ProcessId | None = None

    @property
    def address(self) -> Address:
        """Where it answers. Busy machines are slow; nothing here waits for a time-out."""
        return Address(f"http://{LOOPBACK}:{self.ports[0]}", self.ports[5], timeout=DEADLINE_S, patience=DEADLINE_S)

    def start(self) -> None:
        """Returns when it answers."""
        log = self.folder / "weaviate.log"
        argv = [str(self.binary), "--host", LOOPBACK, "--port", str(self.ports[0]), "--scheme", "http"]
        self.process = launch(argv, self._environment(), log)
        end, ready, pause = time.monotonic() + DEADLINE_S, False, threading.Event()
        while not ready:
            assert time.monotonic() < end, f"Weaviate did not start: {log.read_text(encoding='utf-8')[-2000:]}"
            pause.wait(0.05)
            try:
                ready = httpx.get(f"{self.address.url}/v1/.well-known/ready", trust_env=False).is_success
            except httpx.TransportError:
                continue

    def stop(self, seconds: float = 10.0) -> None:
        """By SIGTERM; with 0 seconds by SIGKILL."""
        if self.process is not None:
            terminate(self.process, seconds)

    def _environment(self) -> dict[str, str]:
        # It finds no leader where its own ports are not one after another.
        _, gossip, data, raft, rpc, grpc = map(str, self.ports)
        return {
            **os.environ,
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
            "CLUSTER_ADVERTISE_ADDR": LOOPBACK,
            "CLUSTER_DATA_BIND_PORT": data,
            "CLUSTER_GOSSIP_BIND_PORT": gossip,
            "CLUSTER_HOSTNAME": "node1",
            "CLUSTER_IN_LOCALHOST": "true",
            "DEFAULT_VECTORIZER_MODULE": "none",
            "DISABLE_TELEMETRY": "true",
            "GO_PROFILING_DISABLE": "true",
            "GRPC_PORT": grpc,
            "LOG_LEVEL": "warning",
            "PERSISTENCE_DATA_PATH": str(self.folder / "data"),
            "RAFT_BOOTSTRAP_EXPECT": "1",
            "RAFT_INTERNAL_RPC_PORT": rpc,
            "RAFT_JOIN": "node1",
            "RAFT_PORT": raft,
        }


@pytest.fixture(scope="session")
def weaviate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeaviateServer]:
    """A server for all tests of this process."""
    with running_weaviate(tmp_path_factory.mktemp("weaviate")) as server:
        yield server


@pytest.fixture
def own_weaviate(tmp_path: Path) -> Iterator[WeaviateServer]:
    """A server that the test may kill."""
    with running_weaviate(tmp_path) as server:
        yield server


@pytest.fixture
def generations(weaviate: WeaviateServer) -> Generations:
    """Collections that no other test uses; the clock says ``NOW``."""
    return Generations(weaviate.address, f"Test{uuid4().hex[:10]}", lambda: NOW)


@pytest.fixture(params=VIEWS)
async def view(request: pytest.FixtureRequest) -> AsyncIterator[View]:
    """One view, empty, whose clock says ``NOW``."""
    made: View
    if request.param == "embedded":
        made = EmbeddedView(clock=lambda: NOW)
    else:
        made = request.getfixturevalue("generations").live()
        differ(request)
    yield made
    await made.close()


def differ(request: pytest.FixtureRequest) -> None:
    """The test says in which views it does not hold, and why: it must fail there."""
    marker = request.node.get_closest_marker("differs")
    if marker is not None:
        request.applymarker(pytest.mark.xfail(reason=marker.args[0], strict=True))


@contextmanager
def running_weaviate(folder: Path) -> Iterator[WeaviateServer]:
    """A server with its data there, until the end of the block; skips the test where there is none."""
    server = WeaviateServer(_built(), folder, _free_ports(6))
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _free_ports(count: int) -> list[int]:
    """Ports in a row that nobody listens on now."""
    for _ in range(100):
        first = free_port()
        ports = list(range(first, first + count))
        if all(map(is_free, ports)):
            return ports
    raise AssertionError(f"no {count} free ports in a row")


def _built() -> Path:
    """The server's binary, in the cache of this machine. Skips where it cannot be built."""
    folder = default_cache() / f"weaviate-{WEAVIATE}"
    binary = folder / "weaviate-server"
    with exclusive(folder.with_suffix(".lock"), BUILD_S):
        if not binary.exists():
            go = shutil.which("go")
            if go is None:
                pytest.skip("NO WEAVIATE, so the view on it is not tested: there is no Go to build it with")
            environment = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-trimpath -ldflags=-s"}
            made = subprocess.run([go, "install", MODULE], env=environment, capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"NO WEAVIATE, so the view on it is not tested: {made.stderr[-500:]}")
    return binary
