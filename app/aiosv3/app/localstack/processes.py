"""Processes that outlive the one that started them.

A process is named by its id *and* the moment it started: ids are used again, and a stale pid file must never make us
signal a stranger. Every process gets a session of its own, so a Ctrl-C in the parent's terminal does not reach it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_POLL_S = 0.02
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ProcessId:
    """``started`` is opaque: equal for the same process, different for a later one with the same ``pid``."""

    pid: int
    started: str

    def to_json(self) -> dict[str, object]:
        return {"pid": self.pid, "started": self.started}

    @classmethod
    def from_json(cls, data: object) -> ProcessId | None:
        """None where ``data`` is not what ``to_json`` wrote."""
        if not isinstance(data, dict):
            return None
        pid, started = data.get("pid"), data.get("started")
        if isinstance(pid, int) and isinstance(started, str) and pid > 0:
            return cls(pid, started)
        return None


def identify(pid: int) -> ProcessId | None:
    """The identity of the process with this id now, or None where there is none (a zombie counts as none)."""
    started = _started_proc(pid) if _BOOT_ID.exists() else _started_ps(pid)
    return None if started is None else ProcessId(pid, started)


def is_alive(process: ProcessId) -> bool:
    """Whether exactly this process still runs. A dead child of ours is reaped on the way."""
    exit_status(process.pid)
    return identify(process.pid) == process


def exit_status(pid: int) -> int | None:
    """Reap ``pid`` if it is a dead child of ours: its exit code (negative: the signal), else None."""
    try:
        reaped, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if reaped == pid else None


def launch(argv: Sequence[str], env: Mapping[str, str], log: Path) -> ProcessId:
    """Start ``argv`` (absolute program) in a session of its own, output appended to ``log``, input closed.

    Nothing ties the process to this one: it goes on when this one dies. Raises ``OSError`` where the program
    cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    pid = _spawn(list(argv), dict(env), str(log))
    # A child that is gone already has no start time any more; an empty one equals no living process.
    return identify(pid) or ProcessId(pid, "")


def send(process: ProcessId, number: signal.Signals) -> bool:
    """Signal exactly this process. False where it is gone."""
    if not is_alive(process):
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_gone(process: ProcessId, timeout_s: float) -> bool:
    """Wait until the process is gone. False where it is still there after ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while is_alive(process):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def terminate(process: ProcessId, timeout_s: float) -> bool:
    """SIGTERM, then SIGKILL after ``timeout_s`` seconds. True where it went in peace."""
    send(process, signal.SIGTERM)
    if wait_gone(process, timeout_s):
        return True
    send(process, signal.SIGKILL)
    wait_gone(process, 10.0)
    return False


def _spawn(argv: list[str], env: dict[str, str], log: str) -> int:
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # Python ignores SIGPIPE and a caller may block signals: neither may be passed on to a Java process.
    defaults = [signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    try:
        return os.posix_spawn(argv[0], argv, env, file_actions=actions, setsid=True, setsigmask=[], setsigdef=defaults)
    except NotImplementedError:
        # No POSIX_SPAWN_SETSID on this platform: a process group of its own also keeps Ctrl-C away.
        return os.posix_spawn(argv[0], argv, env, file_actions=actions, setpgroup=0, setsigmask=[], setsigdef=defaults)


def _started_proc(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc(5): the name in brackets may hold anything, so count from the last bracket; field 3 is the state,
    # field 22 the start in ticks since boot, which says nothing across a reboot without the boot id.
    fields = stat.rpartition(")")[2].split()
    # Field 20 counts threads: a process that was killed is a zombie as soon as its first thread has ended, while the
    # others (Kafka has a hundred) still hold its files and its ports.
    if fields[0] == "X" or (fields[0] == "Z" and int(fields[17]) <= 1):
        return None
    return f"{_BOOT_ID.read_text(encoding='ascii').strip()}:{fields[19]}"


def _started_ps(pid: int) -> str | None:
    done = subprocess.run(  # noqa: S603 - the only word from outside is a number
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607 - its folder differs between systems
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
    )
    state, _, started = done.stdout.strip().partition(" ")
    if done.returncode != 0 or state.startswith("Z"):
        return None
    return " ".join(started.split())
