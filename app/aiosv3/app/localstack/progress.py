"""What a start tells whoever waits for it: lines, downloads, and how the processes come up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from aiosv3.app.localstack.status import StackStatus

Advance = Callable[[int], None]
"""Called with how much more there is than at the last call."""


class Progress(Protocol):
    """Shown to a person, or not. Called by the thread that starts the stack; nothing of it may raise."""

    def say(self, line: str) -> None:
        """One sentence that stays."""
        ...

    def download(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """``total`` bytes come now, as far as anybody can know beforehand."""
        ...

    def changed(self, status: StackStatus) -> None:
        """A process came into another state."""
        ...


class Silent:
    """A :class:`Progress` that nobody sees."""

    def say(self, line: str) -> None:
        """Nothing."""

    def download(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """Nothing."""
        return nullcontext(_ignore)

    def changed(self, status: StackStatus) -> None:
        """Nothing."""


def _ignore(_more: int) -> None:
    return
