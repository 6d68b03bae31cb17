"""``aiosv3 logs``: what the processes of the local stack wrote."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer

from aiosv3.app.commands.options import Project
from aiosv3.app.settings import SettingsError, load_settings

_POLL_S: Final = 0.2
_CHUNK: Final = 64 * 1024
_LONGEST: Final = 1024 * 1024
"""Bytes of one line: a longer one is shown in pieces."""
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Processes, as 'status' names them.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")]
Lines = Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines of each to begin with.")]


def logs(names: Names = None, project: Project = None, follow: Follow = False, lines: Lines = 50) -> None:
    """Print the end of the logs of 'aiosv3 up': all, or those of the named processes."""
    folder = load_settings(project).state_folder / "logs"
    chosen = _choose(folder, names or [])
    width = max(map(len, chosen), default=0)
    labels = {name: f"{name.ljust(width)} | " if len(chosen) > 1 else "" for name in chosen}
    tails = [Tail(folder / f"{name}.log", labels[name]) for name in chosen]
    for tail in tails:
        _print(tail.last(lines))
    if not follow:
        for tail in tails:
            _print(tail.end())
    while follow:
        time.sleep(_POLL_S)
        for tail in tails:
            _print(tail.more())


def _choose(folder: Path, names: Sequence[str]) -> list[str]:
    there = sorted(path.stem for path in folder.glob("*.log"))
    if not there:
        raise SettingsError(f"there are no logs in {folder}: 'aiosv3 up' starts what writes them")
    unknown = [name for name in names if name not in there]
    if unknown:
        raise SettingsError(f"there is no log of {', '.join(unknown)}; there is {', '.join(there)}")
    return list(names) or there


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        typer.echo(line)


@dataclass(slots=True)
class Tail:
    """The end of one log file, and what comes. The file may be emptied under way: it is read from its start then."""

    path: Path
    label: str
    _offset: int = 0
    _rest: bytes = b""

    def last(self, count: int) -> list[str]:
        """The last ``count`` lines; ``more`` goes on behind them."""
        try:
            with self.path.open("rb") as file:
                begin = _begin(file, count)
                file.seek(begin)
                content = file.read()
        except OSError:
            return []
        self._offset = begin + len(content)
        return self._lines(content)

    def more(self) -> list[str]:
        """What came since the last call, in whole lines."""
        try:
            with self.path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._offset:
                    self._offset, self._rest = 0, b""
                file.seek(self._offset)
                content = file.read(_LONGEST)
        except OSError:
            return []
        self._offset += len(content)
        return self._lines(content)

    def end(self) -> list[str]:
        """A last line that was not finished."""
        return self._lines(b"\n") if self._rest else []

    def _lines(self, content: bytes) -> list[str]:
        *whole, self._rest = (self._rest + content).split(b"\n")
        if len(self._rest) > _LONGEST:
            whole, self._rest = [*whole, self._rest], b""
        return [self.label + line.decode("utf-8", "replace").rstrip("\r") for line in whole]


def _begin(file: BinaryIO, count: int) -> int:
    """Where the last ``count`` lines begin."""
    end = place = file.seek(0, os.SEEK_END)
    if count == 0:
        return end
    wanted = count + 1  # the newline before the first of them
    while place > 0 and wanted > 0:
        step = min(_CHUNK, place)
        place -= step
        file.seek(place)
        chunk = file.read(step)
        while wanted > 0 and (at := chunk.rfind(b"\n")) >= 0:
            wanted -= 1
            chunk = chunk[:at]
            if wanted == 0:
                return place + at + 1
    return 0
