"""The worker processes of one project: started, killed, stopped, continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_TAIL = 15


@dataclass
class ProjectProcesses:
    """``folder`` holds the project and the log of each process. ``arguments``: what each was started with."""

    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False)
    arguments: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False)

    @property
    def project(self) -> Path:
        """The project file."""
        return self.folder / "aiosv3.toml"

    @property
    def lock(self) -> Path:
        """The project's schema lock."""
        return self.folder / ".aiosv3" / "schemas.lock.json"

    def launch(
        self, name: str, arguments: tuple[str, ...], environment: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        """``aiosv3 worker …`` as process ``name``; its output goes to ``name.log``."""
        self.arguments[name] = arguments
        command = [sys.executable, "-m", "aiosv3.app", "worker", *arguments, "--project", str(self.project)]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **environment}, cwd=cwd
            )

    def signal(self, number: signal.Signals, *names: str) -> None:
        """One to each of them."""
        for name in names:
            self.running[name].send_signal(number)

    def kill(self, *names: str) -> None:
        """kill -9, all at once."""
        self.signal(signal.SIGKILL, *names)
        for name in names:
            self.gone(name)

    def gone(self, name: str) -> None:
        """Waits for its end."""
        self.running[name].wait()

    def pause(self, *names: str) -> None:
        """SIGSTOP."""
        self.signal(signal.SIGSTOP, *names)

    def resume(self, *names: str) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT, *names)

    def alive(self) -> list[str]:
        """Names of the processes that have not ended."""
        return sorted(name for name, process in self.running.items() if process.poll() is None)

    def logs(self) -> str:
        """The end of every log, for a failure message."""
        tails = []
        for path in sorted(self.folder.glob("*.log")):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
            tails.append(f"--- {path.name}\n" + "\n".join(lines))
        return "\n".join(tails)

    def close(self) -> None:
        """Ends everything."""
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
