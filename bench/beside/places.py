"""Where peers are kept: each in an environment of its own by version, installed once, below the benchmarks' cache."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from measures import families, parent_of, process_seconds
from peers import NotHere, by_npm, by_pip, cache

PROGRAMS: Final = Path(__file__).parent / "programs"
BENCH: Final = Path(__file__).parent.parent
READY_S: Final = 60.0
_FAILED: Final[dict[Path, str]] = {}
"""What could not be installed is not tried again in this run."""


@dataclass(frozen=True, slots=True)
class Place:
    """An environment. ``folder``: its name in the cache; ``npm``: a package of Node.js that it needs besides."""

    folder: str
    packages: tuple[str, ...] = ()
    npm: str = ""

    @property
    def home(self) -> Path:
        """Where it is, or will be."""
        return cache() / self.folder

    def interpreter(self) -> str:
        """Makes the environment where it is missing; its Python. Raises :class:`NotHere`."""
        if not self.packages:
            return sys.executable
        if self.npm and shutil.which("npm") is None:
            raise NotHere("its server comes as an npm package, and there is no 'npm' on this machine")
        mark, python = self.home / ".installed", str(self.home / "bin" / "python")
        if self.home in _FAILED:
            raise NotHere(_FAILED[self.home])
        if not mark.exists():
            try:
                self._install()
            except NotHere as why:
                _FAILED[self.home] = str(why)
                raise
            mark.touch()
        return python

    def _install(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        print(f"installing {' '.join(self.packages)} into {self.home}", file=sys.stderr, flush=True)
        for command in [*by_pip(*self.packages)(self.home), *(by_npm(self.npm)(self.home) if self.npm else ())]:
            _installed(command, self.home)


def _installed(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=900)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHere(f"it could not be installed: {error}") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["no reason was given"]
        raise NotHere(f"it could not be installed: {words[-1][:300]}")


@dataclass(slots=True)
class Running:
    """A process under test: commands go in by lines, answers come out by lines; what else it says is in a log."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    user: Mapping[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = field(default=None, init=False)

    def start(self, ready: str = "ready") -> Running:
        """Returns when it has said that it is ready. Raises :class:`NotHere` with what it said instead."""
        with self._log().open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if ready else log,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
                cwd=self.folder,
                start_new_session=True,
                **self.user,
            )
        while ready and self.line(READY_S) != ready:
            pass  # some greet first
        return self

    def _log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def said(self) -> str:
        """The end of its log."""
        return self._log().read_text(encoding="utf-8", errors="replace")[-800:]

    def line(self, seconds: float) -> str:
        """Its next line. Raises :class:`NotHere` when none comes in time: it is killed then."""
        assert self.process is not None
        assert self.process.stdout is not None
        timer = threading.Timer(seconds, self._strike)
        timer.start()
        try:
            text = self.process.stdout.readline()
        finally:
            timer.cancel()
        if not text:
            ended = "ended" if self.process.wait(10) != -signal.SIGKILL else f"said nothing in {seconds:.0f} s"
            self.kill()
            raise NotHere(f"{self.name} {ended}: {self.said()}")
        return text.strip()

    def tell(self, line: str) -> None:
        """A command."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """kill -9 of it and its children, at once."""
        self._strike()
        for pipe in () if self.process is None else (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not sent yet is sent at the close
                    pipe.close()

    def _strike(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def cpu(self) -> float:
        """Seconds of processor time that it and its living children have had."""
        assert self.process is not None
        return tree_seconds(self.process.pid)


def tree_seconds(root: int) -> float:
    """Processor time of a process and of all that descend from it."""
    stats = {}
    for each in Path("/proc").glob("[0-9]*"):
        try:
            stats[int(each.name)] = (each / "stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
    members = families({"it": root}, {pid: parent_of(text) for pid, text in stats.items()})["it"]
    return sum(process_seconds(stats[pid]) for pid in members if pid in stats)


def memory_mb(process: int) -> float:
    """Resident memory, in MiB; 0 where it has gone."""
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS")), 0.0)


def until(found: object, seconds: float, every: float = 0.02) -> bool:
    """Waits until ``found()`` is true; whether it was before the time was over."""
    assert callable(found)
    deadline = time.monotonic() + seconds
    while not found():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
