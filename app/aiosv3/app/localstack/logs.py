"""Log files of supervised processes: bounded, and quoted in one line.

A process writes to its own file descriptor, so a file that has grown is copied aside and emptied in place: what is
written in between those two steps is lost. One file and one older one are kept.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

KEEP_BYTES: Final = 16 * 1024 * 1024
_SHOWN: Final = 300
_LOOK_BACK: Final = 16_384
_OURS: Final = "aiosv3: "
_FRAME: Final = re.compile(r"\s+(?:at |\.\.\. \d+ more)")
"""Of a Java stack trace, which ends with them."""


def older(log: Path) -> Path:
    """Where the lines before those of ``log`` are."""
    return log.with_name(log.name + ".1")


def trim(log: Path, keep_bytes: int = KEEP_BYTES) -> bool:
    """Move what ``log`` holds aside where that is more than ``keep_bytes``. Its writer must append (``O_APPEND``)."""
    try:
        if log.stat().st_size <= keep_bytes:
            return False
    except OSError:
        return False
    try:
        shutil.copyfile(log, older(log))
    except OSError:
        # A full disk: the older lines are what can be spared.
        with suppress(OSError):
            older(log).unlink()
    with suppress(OSError):
        os.truncate(log, 0)
    return True


def size(log: Path) -> int:
    """In bytes; 0 where there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def last_line(log: Path, start: int = 0) -> str | None:
    """The last line that was written at or after offset ``start`` (in an emptied file: at all), cut to a readable size.

    Frames of a stack trace are skipped: of an exception it is the line that names it.
    """
    try:
        with log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            begin = start if start <= end else 0
            file.seek(max(begin, end - _LOOK_BACK))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    said = next((line.strip() for line in reversed(lines) if line.strip() and not _FRAME.match(line)), None)
    return None if said is None else said.removeprefix(_OURS)[:_SHOWN]
