"""The supervisor's hold on its state file: written whole, mended when somebody harmed it, let go with its folder."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from aiosv3.app.localstack.status import STATE_FILE, StackStatus, write_status


class StateFile:
    """``state.json`` in ``folder``, which is created where it is missing."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        # Held open, so that its inode number cannot be given to a folder that takes its place.
        self._descriptor = os.open(folder, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self._written: tuple[int, ...] | None = None

    def write(self, status: StackStatus) -> None:
        """Nothing is written into a folder that took the place of the one that is gone. Raises ``OSError``."""
        if not self.is_gone():
            write_status(self._folder, status)
            self._written = self._look()

    def is_intact(self) -> bool:
        """Whether the file is what was written last. Anybody may delete it, or edit it."""
        return self._written is not None and self._look() == self._written

    def is_gone(self) -> bool:
        """Whether the folder was deleted, or replaced."""
        mine = os.fstat(self._descriptor)
        try:
            there = self._folder.stat()
        except OSError:
            return True
        return (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino)

    def _look(self) -> tuple[int, ...] | None:
        try:
            found = (self._folder / STATE_FILE).stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
