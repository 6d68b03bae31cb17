"""The processes of a project, each told who it is by the addresses that it calls."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from project_processes import ProjectProcesses
from tests.chaos.agents import RUNS
from tests.chaos.history import History, now_ms

ROOT: Final = Path(__file__).resolve().parents[2]
POOL: Final = "counted"
ZONE: Final = "outside"
AGENTS: Final = ("steps", "queue")
TENANT: Final = "default"
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
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0

[tools.outside]
clearance = "restricted"

[tools.outside.servers.desk]
kind = "http"
url = "http://127.0.0.1:{port}/somebody"
methods = ["POST"]
private = ["127.0.0.0/8"]

[budgets.tenant.default]
usd = 100.0

[memory]
embedder = "none"
{more}
"""


@dataclass
class Workers(ProjectProcesses):
    """Starts, kills, stops and continues them; says so in the history."""

    bootstrap: str
    prefix: str
    port: int
    history: History
    partitions: int = 4
    timeout: float = 60.0
    more: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    """Incarnation or process id -> when it was gone."""
    _names: dict[str, str] = field(default_factory=dict)
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
    def runs(self) -> Path:
        """Where functions of ``ctx.run`` say that they run."""
        return self.folder / RUNS

    def start(self, name: str, *arguments: str) -> None:
        """``aiosv3 worker …`` as process ``name``; its output goes to ``name.log``."""
        self._starts += 1
        self._struck.discard(name)
        called = f"{name}.{self._starts}"
        self._names[name] = called
        here = f"http://127.0.0.1:{self.port}/{called}"
        environment = {
            "PYTHONFAULTHANDLER": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "AIOSV3_POOLS__COUNTED__BASE_URL": f"{here}/v1",
            "AIOSV3_TOOLS__OUTSIDE__SERVERS__DESK__URL": here,
            **self.environment,
        }
        self.launch(name, arguments or EVERYBODY[name], environment, cwd=self.folder)

    def everybody(self, names: Sequence[str] = tuple(EVERYBODY)) -> None:
        """Starts them all."""
        for name in names:
            self.start(name)

    def kill(self, *names: str) -> None:
        """kill -9, all at once."""
        self.history.fault(f"kill -9 {' '.join(names)}")
        self._struck |= set(names)
        super().kill(*names)

    def leave(self, name: str) -> None:
        """SIGTERM: it gives back what it has, and ends."""
        self._struck.add(name)
        self.history.fault(f"SIGTERM {name}")
        self.signal(signal.SIGTERM, name)

    def restart(self, *names: str) -> None:
        """Starts them again, as their supervisor would; those that end in peace first."""
        for name in names:
            if name in self._struck:
                self.gone(name)
            self.start(name, *self.arguments[name])

    def pause(self, *names: str) -> None:
        """SIGSTOP."""
        self.history.fault(f"SIGSTOP {' '.join(names)}")
        super().pause(*names)

    def resume(self, *names: str) -> None:
        """SIGCONT."""
        self.history.write("note", what=f"SIGCONT {' '.join(names)}")
        super().resume(*names)

    def some(self, rng: random.Random, most: int) -> list[str]:
        """A few that run."""
        alive = self.alive()
        return rng.sample(alive, min(len(alive), rng.randint(1, most)))

    def struck(self) -> list[str]:
        """Names of those that were killed or sent home, and not started again."""
        return sorted(self._struck)

    def revive(self) -> list[str]:
        """As a supervisor: those that ended by themselves are started again. Returns them with their exit codes."""
        fallen = []
        for name in sorted(self.running):
            if name not in self._struck and (code := self.running[name].poll()) is not None:
                self.gone(name)
                fallen.append(f"{name} ({code})")
                self.restart(name)
        if fallen:
            self.history.write("note", what=f"ended by themselves and started again: {', '.join(fallen)}")
        return fallen

    def abort(self) -> None:
        """SIGABRT: each writes to its log where its threads stand, and ends."""
        names = self.alive()
        self.signal(signal.SIGABRT, *names)
        for name in names:
            super().gone(name)

    def gone(self, name: str) -> None:
        """Waits for its end, and notes when that was."""
        super().gone(name)
        self.ended[self._names[name]] = self.ended[str(self.running[name].pid)] = now_ms()
