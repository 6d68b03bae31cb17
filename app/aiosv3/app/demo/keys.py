"""Keys of a terminal, one at a time and without waiting, and what they mean."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final

from aiosv3.app.demo.stack import Process

LABELS: Final = "1234567890abcdefghijlmnoprstuvwxyz"
"""Keys of the chooser, in this order; ``k`` and ``q`` have a meaning of their own."""


class Keyboard(AbstractContextManager["Keyboard"]):
    """Keys from ``stream``, a terminal; it is put back as it was at the end. Ctrl-C stays what it is."""

    def __init__(self, stream: Any = None) -> None:
        self._stream = sys.stdin if stream is None else stream
        self._before: Any = None

    def __enter__(self) -> Keyboard:
        if sys.platform != "win32":
            import termios
            import tty

            self._before = termios.tcgetattr(self._stream)
            tty.setcbreak(self._stream.fileno())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if sys.platform != "win32" and self._before is not None:
            import termios

            termios.tcsetattr(self._stream, termios.TCSADRAIN, self._before)

    def pressed(self) -> str:
        """What was pressed since the last call; empty when nothing was."""
        if sys.platform == "win32":
            import msvcrt

            return "".join(iter(lambda: msvcrt.getwch() if msvcrt.kbhit() else "", ""))
        number = self._stream.fileno()
        found = b""
        while select.select([number], [], [], 0)[0] and (piece := os.read(number, 64)):
            found += piece
        return found.decode("utf-8", "ignore")


class Chooser:
    """``k`` and then the key of a process: that process is to be killed. ``q``: stop. Any other key changes nothing."""

    def __init__(self) -> None:
        self.choosing = False
        self.stopped = False

    def press(self, keys: str, processes: Sequence[Process]) -> list[Process]:
        """The processes to be killed after ``keys``, which were pressed in this order."""
        victims = []
        for key in keys:
            if key == "q":
                self.stopped = True
            elif self.choosing:
                self.choosing = key == "k"
                place = LABELS.find(key)
                if 0 <= place < len(processes):
                    victims.append(processes[place])
            else:
                self.choosing = key == "k"
        return victims
