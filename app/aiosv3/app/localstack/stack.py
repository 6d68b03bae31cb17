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
from aiosv3.app.localstack.errors import LocalStackError, PortTaken, StateDamaged
from aiosv3.app.localstack.files import read_json, write_atomic
from aiosv3.app.localstack.kafka import KafkaServer
from aiosv3.app.localstack.locks import exclusive
from aiosv3.app.localstack.logs import last_line, size, trim
from aiosv3.app.localstack.news import News
from aiosv3.app.localstack.ports import LOOPBACK, is_free, port_again
from aiosv3.app.localstack.processes import ProcessId, identify, is_alive, launch, terminate, wait_gone
from aiosv3.app.localstack.progress import Progress, Silent
from aiosv3.app.localstack.specs import ProcessSpec, RestartPolicy, save_specs
from aiosv3.app.localstack.status import Phase, StackStatus, read_status, write_status
from aiosv3.app.localstack.supervisor import Supervisor, serve, stop_orphans

UP_TIMEOUT_S: Final = 300.0
"""Without any news of a start: each of its processes has a time of its own, and the supervisor says how that went."""
DOWN_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.05
_MENDED_S: Final = 3.0
"""Within so long a living supervisor writes a damaged state file again."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts answer: ``host:port`` of the broker, URL of the registry (empty: there is none)."""

    kafka: str
    registry: str = ""

    def to_json(self) -> dict[str, str]:
        return {"kafka": self.kafka, **({"registry": self.registry} if self.registry else {})}


@dataclass(frozen=True, slots=True)
class Borrowed:
    """What a stack uses and neither starts nor stops. Empty: it runs its own.

    ``registered`` is False where there shall be no registry at all. ``schemas_topic`` is where an embedded registry
    keeps what it knows (empty: its usual topic): one that another registry writes would be damaged.
    """

    kafka: str = ""
    registry: str = ""
    registered: bool = True
    schemas_topic: str = ""


class Stack:
    """The stack of one state folder. Ports 0 take those of the last time where they are free, else others."""

    def __init__(
        self,
        folder: Path,
        *,
        kafka_port: int = 0,
        registry_port: int = 0,
        borrowed: Borrowed | None = None,
        distribution: KafkaDistribution | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self._registry_port = registry_port
        self._borrowed = borrowed or Borrowed()
        self._progress = progress or Silent()
        distribution = distribution or KafkaDistribution(progress=self._progress)
        self._kafka = KafkaServer(self.folder / "kafka", port=kafka_port, distribution=distribution)

    def status(self) -> StackStatus | None:
        """What is up, checked against the living processes; None where nothing ever was, or nobody can tell."""
        deadline = time.monotonic() + _MENDED_S
        while True:
            try:
                return read_status(self.folder)
            except StateDamaged:
                if time.monotonic() >= deadline:
                    return None
            time.sleep(_POLL_S)

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
        Raises ``LocalStackError``, which names the part that did not start, why, and its log.
        """
        with self._lock():
            running = self._running()
            if running is not None:
                if on_ready is not None and not detach:
                    on_ready(running)
                return running
            addresses, infrastructure = self._prepare()
            specs = [*infrastructure, *processes]
            if detach:
                return self._detach(specs, addresses)
            supervisor = Supervisor(specs, self.folder, addresses=addresses.to_json(), note=self._progress.say)
            supervisor.publish()
        last = serve(supervisor, on_ready, self._progress.changed)
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
        def say_waiting() -> None:
            self._progress.say("Another 'aiosv3 up' is at work here: waiting for it.")

        return exclusive(self.folder / "up.lock", UP_TIMEOUT_S, say_waiting)

    def _running(self) -> StackStatus | None:
        """The stack that is up, once it is ready; one that stops is let go. Raises where its start fails."""
        status = self.status()
        if status is None or not status.is_up or status.supervisor is None:
            return None
        if status.phase is Phase.STOPPING:
            wait_gone(status.supervisor, DOWN_TIMEOUT_S)
            return None
        return self._wait_ready(status.supervisor)

    def _prepare(self) -> tuple[Addresses, list[ProcessSpec]]:
        status = self.status()
        if status is not None and status.is_up:
            return Addresses(**status.addresses), []
        if status is not None:
            stop_orphans(status)
        self._kafka.stop()
        specs = []
        kafka, registry = self._borrowed.kafka, self._borrowed.registry
        if not kafka:
            specs.append(self._kafka_spec(self._kafka.prepare()))
            kafka = self._kafka.bootstrap
        if not registry and self._borrowed.registered:
            registry = f"http://{LOOPBACK}:{self._choose_registry_port()}"
            specs.append(self._registry_spec(kafka, registry))
        return Addresses(kafka, registry), specs

    def _choose_registry_port(self) -> int:
        path = self.folder / "registry.json"
        recorded = read_json(path)
        known = int(recorded["port"]) if isinstance(recorded, dict) else 0
        port = self._registry_port or port_again(known)
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

    def _registry_spec(self, kafka: str, url: str) -> ProcessSpec:
        module = "aiosv3.app.localstack.registry"
        port = url.rpartition(":")[2]
        topic = self._borrowed.schemas_topic
        where = ("--bootstrap", kafka, "--port", port, *(("--topic", topic) if topic else ()))
        return ProcessSpec(
            name="registry",
            argv=(sys.executable, "-m", module, *where),
            log_path=self.folder / "logs" / "registry.log",
            # It ends with 1 where the broker did not take or give its log in time.
            restart=RestartPolicy(waiting=(1,)),
            stage=1,
            ready=f"{url}/",
            stop_timeout_s=5.0,
        )

    def _detach(self, specs: list[ProcessSpec], addresses: Addresses) -> StackStatus:
        save_specs(self.folder, specs, addresses.to_json())
        module = "aiosv3.app.localstack.supervise"
        log = self.folder / "logs" / "supervisor.log"
        trim(log)
        begun = size(log)
        process = launch((sys.executable, "-m", module, "--folder", str(self.folder)), os.environ, log)
        try:
            return self._wait_ready(process, begun)
        except KeyboardInterrupt:
            # Ctrl-C does not reach it: it has a session of its own.
            self._progress.say("Stopping what was started…")
            terminate(process, DOWN_TIMEOUT_S)
            raise

    def _wait_ready(self, supervisor: ProcessId, log_start: int = 0) -> StackStatus:
        log = self.folder / "logs" / "supervisor.log"
        news = News(UP_TIMEOUT_S)
        while True:
            # Looked at in this order: it may say how it went, and end, between the two.
            alive = is_alive(supervisor)
            status = self.status()
            if status is not None and status.supervisor == supervisor:
                self._progress.changed(status)
                news.see(status)
                if status.phase is Phase.READY:
                    return status
                if status.phase is Phase.FAILED:
                    raise LocalStackError(status.error or "the stack could not be started")
                if status.phase in {Phase.STOPPING, Phase.STOPPED}:
                    raise LocalStackError("the stack was stopped while it started")
            if not alive:
                said = last_line(log, log_start) or "it said nothing; is the disk full?"
                raise LocalStackError(f"the supervisor ended while it started: {said} (log: {log})")
            if news.too_old():
                terminate(supervisor, DOWN_TIMEOUT_S)
                raise LocalStackError(f"nothing new was heard of the start in {UP_TIMEOUT_S:.0f} s: see {log.parent}")
            time.sleep(_POLL_S)

    def _record_stopped(self, status: StackStatus) -> None:
        processes = tuple(replace(one, process=None) for one in status.processes)
        write_status(self.folder, replace(status, phase=Phase.STOPPED, processes=processes))
