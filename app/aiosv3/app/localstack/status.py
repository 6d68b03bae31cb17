"""What the supervisor tells other processes: ``state.json`` in the state folder."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from aiosv3.app.localstack.errors import StateDamaged
from aiosv3.app.localstack.files import write_atomic
from aiosv3.app.localstack.processes import ProcessId, is_alive

STATE_FILE: Final = "state.json"


class Phase(StrEnum):
    """Where the stack as a whole stands. ``LOST``: its supervisor is gone without having said so."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


class ProcessState(StrEnum):
    """Where one process stands. ``BACKOFF``: it ended and will be started again. ``FAILED``: too often, it will not."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process. ``since`` is when it came into this state (seconds, Unix epoch)."""

    name: str
    state: ProcessState
    process: ProcessId | None
    restarts: int
    since: float
    exit_code: int | None
    """How it ended last (negative: the signal); None where it never did."""
    log: str
    ready: str | None = None
    """The probe that says whether it is ready: of a worker, the address of its metrics."""
    reason: str | None = None
    """The last line that it wrote before it ended last; None where it wrote none."""

    @property
    def pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    def uptime_s(self, now: float | None = None) -> float:
        """Seconds in this state; 0 where it does not run."""
        if self.process is None:
            return 0.0
        return max(0.0, (time.time() if now is None else now) - self.since)


@dataclass(frozen=True, slots=True)
class StackStatus:
    """The stack: its supervisor, the addresses of its parts, its processes in start order."""

    phase: Phase
    supervisor: ProcessId | None
    addresses: Mapping[str, str]
    processes: tuple[ProcessStatus, ...]
    error: str | None = None

    @property
    def is_up(self) -> bool:
        """Whether a living supervisor looks after it."""
        return self.phase in {Phase.STARTING, Phase.READY, Phase.STOPPING}

    def to_json(self) -> dict[str, Any]:
        """As in ``state.json``, with the uptime of now."""
        content = asdict(self)
        for entry, one in zip(content["processes"], self.processes, strict=True):
            entry["uptime_s"] = round(one.uptime_s(), 1)
        return {"v": 1, **content}


def write_status(folder: Path, status: StackStatus) -> None:
    write_atomic(folder / STATE_FILE, json.dumps(status.to_json(), indent=1))


def read_status(folder: Path) -> StackStatus | None:
    """What the supervisor of ``folder`` wrote last, checked against what lives now. None: nothing was ever up.

    Processes that are gone lose their ``process``, so what is left of a ``LOST`` stack are its orphans. Raises
    :class:`StateDamaged`; a living supervisor mends that within about a second.
    """
    path = folder / STATE_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        status = _status(json.loads(text))
    except (LookupError, TypeError, ValueError, AttributeError):
        raise StateDamaged(path) from None
    if status is not None and status.is_up and (status.supervisor is None or not is_alive(status.supervisor)):
        return replace(status, phase=Phase.LOST)
    return status


def _status(content: Any) -> StackStatus | None:
    if content["v"] != 1:
        return None
    return StackStatus(
        phase=Phase(content["phase"]),
        supervisor=ProcessId.from_json(content["supervisor"]),
        addresses=dict(content["addresses"]),
        processes=tuple(_process_status(entry) for entry in content["processes"]),
        error=content["error"],
    )


def _process_status(entry: dict[str, Any]) -> ProcessStatus:
    process = ProcessId.from_json(entry["process"])
    return ProcessStatus(
        name=entry["name"],
        state=ProcessState(entry["state"]),
        process=process if process is not None and is_alive(process) else None,
        restarts=entry["restarts"],
        since=entry["since"],
        exit_code=entry["exit_code"],
        log=entry["log"],
        ready=entry.get("ready"),
        reason=entry.get("reason"),
    )
