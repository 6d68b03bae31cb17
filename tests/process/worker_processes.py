"""Real worker processes of a small project, to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from counting_endpoint import CountingEndpoint

_PROJECT = """
agents = [{agents}]

[kafka]
bootstrap = "{bootstrap}"
prefix = "{prefix}"
partitions = {partitions}

[pools.counted]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
model = "counted"
clearance = "restricted"
concurrency = 64
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0
"""


@dataclass
class WorkerProcesses:
    """Starts workers of one project; each part is a process of its own."""

    folder: Path
    bootstrap: str
    prefix: str
    endpoint: CountingEndpoint
    agents: Sequence[str] = ("crash_agents:worker", "crash_agents:queue")
    partitions: int = 4
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    arguments: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        text = _PROJECT.format(
            agents=", ".join(f'"{agent}"' for agent in self.agents),
            bootstrap=self.bootstrap,
            prefix=self.prefix,
            partitions=self.partitions,
            port=self.endpoint.port,
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

    def start(self, name: str, *arguments: str) -> None:
        """``aiosv3 worker …`` as process ``name``; its output goes to ``name.log``."""
        self.arguments[name] = arguments
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "aiosv3.app", "worker", *arguments, "--project", str(self.project)],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
            )

    def kill(self, *names: str) -> None:
        """kill -9, all at once."""
        for name in names:
            self.running[name].send_signal(signal.SIGKILL)
        for name in names:
            self.running[name].wait()

    def restart(self, *names: str) -> None:
        """Starts them again, as their supervisor would."""
        for name in names:
            self.start(name, *self.arguments[name])

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self.running[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self.running[name].send_signal(signal.SIGCONT)

    def alive(self) -> list[str]:
        """Names of the processes that have not ended."""
        return [name for name, process in self.running.items() if process.poll() is None]

    def logs(self) -> str:
        """The end of every log, for a failure message."""
        tails = []
        for path in sorted(self.folder.glob("*.log")):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            tails.append(f"--- {path.name}\n" + "\n".join(lines))
        return "\n".join(tails)

    def close(self) -> None:
        """Ends everything."""
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
