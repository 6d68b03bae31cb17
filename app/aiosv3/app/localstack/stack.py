"""The embedded local stack as one thing: Kafka, the schema registry and whatever processes a project adds.

stack = Stack(Path(".aiosv3"))
addresses = stack.prepare()                     # for the environment of the project's own processes
status = stack.up([ProcessSpec(...)], detach=True)
stack.status(); stack.down()
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aiosv3.app.localstack.distribution import KafkaDistribution
from aiosv3.app.localstack.errors import LocalStackError, PortTaken, tail
from aiosv3.app.localstack.files import read_json, write_atomic
from aiosv3.app.localstack.kafka import KafkaServer
from aiosv3.app.localstack.locks import exclusive
from aiosv3.app.localstack.ports import LOOPBACK, free_port, is_free
from aiosv3.app.localstack.processes import ProcessId, identify, is_alive, launch, terminate
from aiosv3.app.localstack.specs import ProcessSpec, save_specs
from aiosv3.app.localstack.status import Phase, StackStatus, read_status, write_status
from aiosv3.app.localstack.supervisor import Supervisor, serve, stop_orphans

UP_TIMEOUT_S: Final = 300.0
DOWN_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts answer: ``host:port`` of the broker, URL of the registry."""

    kafka: str
    registry: str

    def to_json(self) -> dict[str, str]:
        return {"kafka": self.kafka, "registry": self.registry}


class Stack:
    """The stack of one state folder. Ports 0 take those of the last time, else free ones; they stay the same."""

    def __init__(
        self,
        folder: Path,
        *,
        kafka_port: int = 0,
        registry_port: int = 0,
        distribution: KafkaDistribution | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self._registry_port = registry_port
        self._kafka = KafkaServer(self.folder / "kafka", port=kafka_port, distribution=distribution)

    def status(self) -> StackStatus | None:
        """What is up, checked against the living processes; None where nothing ever was."""
        return read_status(self.folder)

    def prepare(self) -> Addresses:
        """Stop orphans, fetch and format what is missing, choose ports. Blocks (the first time about 20 s).

        Returns the addresses of the running stack where one is up. Raises ``LocalStackError``.
        """
        with self._lock():
            return self._prepare()[0]

    def up(
        self,
        processes: Sequence[ProcessSpec] = (),
        *,
        detach: bool,
        on_ready: Callable[[StackStatus], None] | None = None,
    ) -> StackStatus:
        """Bring up the broker, the registry, then ``processes``; a stack that is up already is left as it is.

        Detached: returns when all is ready, and the stack outlives this process. Else: blocks until SIGINT or
        SIGTERM, calls ``on_ready`` in between, stops all and returns the last status (main thread only).
        Raises ``LocalStackError`` with the end of the log of the part that did not start.
        """
        with self._lock():
            running = self.status()
            if running is not None and running.is_up:
                if on_ready is not None and not detach:
                    on_ready(running)
                return running
            addresses, infrastructure = self._prepare()
            specs = [*infrastructure, *processes]
            if detach:
                return self._detach(specs, addresses)
            supervisor = Supervisor(specs, self.folder, addresses=addresses.to_json())
            supervisor.publish()
        last = serve(supervisor, on_ready)
        if last.phase is Phase.FAILED:
            raise LocalStackError(last.error or "the stack could not be started")
        return last

    def down(self, timeout_s: float = DOWN_TIMEOUT_S) -> bool:
        """Stop the stack, orphans included. False where nothing was running."""
        status = self.status()
        if status is None:
            return False
        stopped = False
        if status.is_up and status.supervisor is not None:
            if status.supervisor == identify(os.getpid()):
                raise LocalStackError("a stack in the foreground is stopped with a signal")
            terminate(status.supervisor, timeout_s)
            stopped = True
        left = self.status() or status
        orphans = stop_orphans(left)
        if left.phase is not Phase.STOPPED:
            self._record_stopped(left)
        return stopped or bool(orphans)

    def _lock(self) -> AbstractContextManager[None]:
        return exclusive(self.folder / "up.lock", UP_TIMEOUT_S)

    def _prepare(self) -> tuple[Addresses, list[ProcessSpec]]:
        status = self.status()
        if status is not None and status.is_up:
            return Addresses(**status.addresses), []
        if status is not None:
            stop_orphans(status)
        self._kafka.stop()
        kafka_argv = self._kafka.prepare()
        addresses = Addresses(self._kafka.bootstrap, f"http://{LOOPBACK}:{self._choose_registry_port()}")
        return addresses, [self._kafka_spec(kafka_argv), self._registry_spec(addresses)]

    def _choose_registry_port(self) -> int:
        path = self.folder / "registry.json"
        recorded = read_json(path)
        known = int(recorded["port"]) if isinstance(recorded, dict) else 0
        port = self._registry_port or known or free_port()
        if not is_free(port):
            raise PortTaken("the schema registry", port)
        write_atomic(path, f'{{"port": {port}}}')
        return port

    def _kafka_spec(self, argv: list[str]) -> ProcessSpec:
        return ProcessSpec(
            name="kafka",
            argv=tuple(argv),
            log_path=self.folder / "logs" / "kafka.log",
            env=self._kafka.environment(),
            stage=0,
            ready=f"kafka://{self._kafka.bootstrap}",
            ready_timeout_s=90.0,
        )

    def _registry_spec(self, addresses: Addresses) -> ProcessSpec:
        module = "aiosv3.app.localstack.registry"
        port = addresses.registry.rpartition(":")[2]
        return ProcessSpec(
            name="registry",
            argv=(sys.executable, "-m", module, "--bootstrap", addresses.kafka, "--port", port),
            log_path=self.folder / "logs" / "registry.log",
            stage=1,
            ready=f"{addresses.registry}/",
            stop_timeout_s=5.0,
        )

    def _detach(self, specs: list[ProcessSpec], addresses: Addresses) -> StackStatus:
        save_specs(self.folder, specs, addresses.to_json())
        module = "aiosv3.app.localstack.supervise"
        log = self.folder / "logs" / "supervisor.log"
        process = launch((sys.executable, "-m", module, "--folder", str(self.folder)), os.environ, log)
        return self._wait_ready(process, log)

    def _wait_ready(self, supervisor: ProcessId, log: Path) -> StackStatus:
        deadline = time.monotonic() + UP_TIMEOUT_S
        while True:
            status = self.status()
            if status is not None and status.supervisor == supervisor:
                if status.phase is Phase.READY:
                    return status
                if status.phase is Phase.FAILED:
                    raise LocalStackError(status.error or "the stack could not be started")
            if not is_alive(supervisor):
                raise LocalStackError(f"the supervisor ended while it started\nend of {log}:\n{tail(log)}")
            if time.monotonic() >= deadline:
                terminate(supervisor, DOWN_TIMEOUT_S)
                raise LocalStackError(f"the stack was not ready within {UP_TIMEOUT_S:.0f} s: see {log.parent}")
            time.sleep(_POLL_S)

    def _record_stopped(self, status: StackStatus) -> None:
        processes = tuple(replace(one, process=None) for one in status.processes)
        write_status(self.folder, replace(status, phase=Phase.STOPPED, processes=processes))
