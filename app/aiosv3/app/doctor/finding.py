"""What a check found: how it stands, in one sentence, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """WARNING: it works, but not as it should. FAILED: something will not work."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """``action``: what to do, None where there is nothing to do, or where the message says it."""

    check: str
    level: Level
    message: str
    action: str | None = None

    @classmethod
    def ok(cls, check: str, message: str) -> Finding:
        """It is as it should be."""
        return cls(check, Level.OK, message)

    @classmethod
    def warning(cls, check: str, message: str, action: str | None = None) -> Finding:
        """It works, but not as it should."""
        return cls(check, Level.WARNING, message, action)

    @classmethod
    def failed(cls, check: str, message: str, action: str | None = None) -> Finding:
        """Something will not work."""
        return cls(check, Level.FAILED, message, action)

    def to_json(self) -> dict[str, Any]:
        """Stable names: ``check``, ``level``, ``message``, ``action``."""
        return asdict(self)
