"""Errors of the embedded local stack; see ``aiosv3.schemas.errors`` for the root.

AiosError
└── LocalStackError          the local stack cannot do what was asked; the message says what to do
    ├── ArtifactsUnavailable the Java artifacts are not here and could not be fetched, or are damaged
    ├── PortTaken            another program listens where a part wants to
    ├── NotReady             a part did not answer before its deadline; carries the end of its log
    ├── StateDamaged         the file in which the supervisor says what runs cannot be read
    └── LockTimeout          another process holds the folder
"""

from __future__ import annotations

from pathlib import Path

from aiosv3.schemas.errors import AiosError


class LocalStackError(AiosError):
    """Root of the errors of the embedded stack."""


class ArtifactsUnavailable(LocalStackError):
    """The Java artifacts are neither in the cache nor to be had, or differ from the released checksums."""


class PortTaken(LocalStackError):
    """Another program listens on the ``port`` that ``part`` wants."""

    def __init__(self, part: str, port: int) -> None:
        super().__init__(
            f"port {port} on 127.0.0.1 is taken by another program, so {part} cannot start: stop that program "
            f"(`lsof -iTCP:{port} -sTCP:LISTEN` names it) or choose another port"
        )
        self.part = part
        self.port = port


class NotReady(LocalStackError):
    """``part`` ended, or did not answer before its deadline. The message ends with the tail of its log."""

    def __init__(self, part: str, reason: str, log: Path) -> None:
        super().__init__(f"{part} {reason}\nend of {log}:\n{tail(log)}")
        self.part = part
        self.log = log


class StateDamaged(LocalStackError):
    """The state file ``path`` is there and holds no state."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is damaged: 'aiosv3 up' writes it anew")
        self.path = path


class LockTimeout(LocalStackError):
    """Another process held ``path`` for longer than the caller wanted to wait."""


def tail(log: Path, lines: int = 20, max_bytes: int = 16_384) -> str:
    """The last ``lines`` lines of ``log``, or a note that there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - max_bytes))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return "(no log was written)"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"
