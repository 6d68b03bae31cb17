"""What goes wrong with documents."""

from __future__ import annotations

from aiosv3.schemas.errors import AiosError


class DocumentUnreadable(AiosError):
    """There is no text in it that can be read; the message says why."""
