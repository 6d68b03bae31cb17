"""The processes of a project, each told who it is by the addresses that it calls."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.agents import RUNS
from tests.chaos.history import History, now_ms

ROOT: Final = Path(__file__).resolve().parents[2]
POOL: Final = "counted"
ZONE: Final = "outside"
AGENTS: Final = ("steps", "queue")
EVERYBODY: Final[Mapping[str, tuple[str, ...]]] = {
    "steps-1": ("agent", "steps"),
    "steps-2": ("agent", "steps"),
    "queue-1": ("agent", "queue"),
    "router-1": ("router",),
    "router-2": ("router",),
    "pool-1": ("pool", POOL),
    "pool-2": ("pool", POOL),
    "tools-1": ("tools", ZONE),
    "memory-1": ("memory",),
}
GROUPS: Final[Mapping[str, str]] = {
    "agent.steps": "tasks.steps",
    "agent.queue": "tasks.queue",
    "router": "prompts",
    f"pool.{POOL}": f"prompts.{POOL}",
    f"tools.{ZONE}": f"tools.{ZONE}",
}
"""Consumer groups and what they read."""
_PROJECT: Final = """
agents = ["tests.chaos.agents:steps", "tests.chaos.agents:queue"]

[kafka]
bootstrap = "{bootstrap}"
prefix = "{prefix}"
partitions = {partitions}

[pools.counted]
kind = "openai"
base_url = "http://127.0.0.1:{port}/somebody/v1"
model = "counted"
clearance = "restricted"
concurrency = 64
timeout = {timeout}

[tools.outside]
clearance = "restricted"

[tools.outside.servers.desk]
kind = "http"
url = "http://127.0.0.1:{port}/somebody"
methods = ["POST"]
private = ["127.0.0.0/8"]

[memory]
embedder = "none"
{more}
"""


@dataclass
class Workers:
    """Starts, kills, stops and continues them; says so in the history."""

    folder: Path
    bootstrap: str
    prefix: str
    port: int
    history: History
    partitions: int = 4
    timeout: float = 60.0
    more: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    """Incarnation or process id -> when it was gone."""
    _names: dict[str, str] = field(default_factory=dict)
    _arguments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _struck: set[str] = field(default_factory=set)
    _starts: int = 0

    def __post_init__(self) -> None:
        text = _PROJECT.format(
            bootstrap=self.bootstrap,
            prefix=self.prefix,
            partitions=self.partitions,
            port=self.port,
            timeout=self.timeout,
            more=self.more,
        )
        self.project.write_text(text, encoding="utf-8")

    @property
    def project(self) -> Path:
        """The project file."""
        return self.folder / "aiosv3.toml"

    @property
    def lock(self) -> Path:
        """The project's schema lock."""
        return self.folder / ".aiosv3" / "schemas.lock.json"

    @property
    def runs(self) -> Path:
        """Where functions of ``ctx.run`` say that they run."""
        return self.folder / RUNS

    def start(self, name: str, *arguments: str) -> None:
        """``aiosv3 worker …`` as process ``name``; its output goes to ``name.log``."""
        self._starts += 1
        self._struck.discard(name)
        called = f"{name}.{self._starts}"
        self._names[name] = called
        self._arguments[name] = arguments or EVERYBODY[name]
        here = f"http://127.0.0.1:{self.port}/{called}"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "AIOSV3_POOLS__COUNTED__BASE_URL": f"{here}/v1",
            "AIOSV3_TOOLS__OUTSIDE__SERVERS__DESK__URL": here,
            **self.environment,
        }
        command = [sys.executable, "-m", "aiosv3.app", "worker", *self._arguments[name]]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [*command, "--project", str(self.project)], stdout=log, stderr=log, env=environment, cwd=self.folder
            )

    def everybody(self, names: Sequence[str] = tuple(EVERYBODY)) -> None:
        """Starts them all."""
        for name in names:
            self.start(name)

    def kill(self, *names: str) -> None:
        """kill -9, all at once."""
        self.history.fault(f"kill -9 {' '.join(names)}")
        self._struck |= set(names)
        for name in names:
            self.running[name].send_signal(signal.SIGKILL)
        for name in names:
            self._gone(name)

    def leave(self, name: str) -> None:
        """SIGTERM: it gives back what it has, and ends."""
        self._struck.add(name)
        self.history.fault(f"SIGTERM {name}")
        self.running[name].send_signal(signal.SIGTERM)

    def restart(self, *names: str) -> None:
        """Starts them again, as their supervisor would; those that end in peace first."""
        for name in names:
            if name in self._struck:
                self._gone(name)
            self.start(name, *self._arguments[name])

    def pause(self, *names: str) -> None:
        """SIGSTOP."""
        self.history.fault(f"SIGSTOP {' '.join(names)}")
        for name in names:
            self.running[name].send_signal(signal.SIGSTOP)

    def resume(self, *names: str) -> None:
        """SIGCONT."""
        self.history.write("note", what=f"SIGCONT {' '.join(names)}")
        for name in names:
            self.running[name].send_signal(signal.SIGCONT)

    def some(self, rng: random.Random, most: int) -> list[str]:
        """A few that run."""
        alive = self.alive()
        return rng.sample(alive, min(len(alive), rng.randint(1, most)))

    def struck(self) -> list[str]:
        """Names of those that were killed or sent home, and not started again."""
        return sorted(self._struck)

    def alive(self) -> list[str]:
        """Names of the processes that have not ended."""
        return sorted(name for name, process in self.running.items() if process.poll() is None)

    def revive(self) -> list[str]:
        """As a supervisor: those that ended by themselves are started again. Returns them with their exit codes."""
        fallen = []
        for name in sorted(self.running):
            if name not in self._struck and (code := self.running[name].poll()) is not None:
                self._gone(name)
                fallen.append(f"{name} ({code})")
                self.restart(name)
        if fallen:
            self.history.write("note", what=f"ended by themselves and started again: {', '.join(fallen)}")
        return fallen

    def _gone(self, name: str) -> None:
        process = self.running[name]
        process.wait()
        self.ended[self._names[name]] = self.ended[str(process.pid)] = now_ms()

    def logs(self) -> str:
        """The end of every log, for a failure message."""
        tails = []
        for path in sorted(self.folder.glob("*.log")):
            if path.name != RUNS:
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
                tails.append(f"--- {path.name}\n" + "\n".join(lines))
        return "\n".join(tails)

    def close(self) -> None:
        """Ends everything."""
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
