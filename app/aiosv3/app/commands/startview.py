"""How a start looks: a bar and a moving line on a terminal, plain lines everywhere else; always on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.status import Status
from rich.text import Text

from aiosv3.app.localstack.logs import last_line
from aiosv3.app.localstack.progress import Advance
from aiosv3.app.localstack.status import Phase, ProcessState, ProcessStatus, StackStatus

_MEGA: Final = 1_000_000
_LONG_S: Final = 15.0
"""What starts for longer says what it waits for, again and again, with twice as long in between."""
_LINES: Final = 5
"""Of one download, where there is no bar."""


class StartView:
    """A :class:`aiosv3.app.localstack.progress.Progress` for people. Use as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self._moves = self._console.is_terminal and not self._console.is_dumb_terminal
        self._line: Status | None = None
        self._running: set[str] = set()
        self._due: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def say(self, line: str) -> None:
        """One sentence that stays."""
        self._console.print(line, markup=False)

    def download(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """A bar that goes away when it is done; without a terminal one line for each fifth."""
        return self._bar(what, total) if self._moves else self._lines(what, total)

    def changed(self, status: StackStatus) -> None:
        """Which processes are still to come."""
        if status.phase is not Phase.STARTING:
            self._stop()
            return
        running = {one.name for one in status.processes if one.state is ProcessState.RUNNING}
        if self._moves:
            self._move(status, running)
        else:
            for one in status.processes:
                if one.name in running - self._running:
                    self.say(f"{one.name} is running.")
                elif (waits := _waits(one)) and one.uptime_s() >= self._due.get(one.name, _LONG_S):
                    self._due[one.name] = one.uptime_s() * 2
                    self.say(f"{one.name} is starting for {one.uptime_s():.0f} s: {waits}")
        self._running = running

    def _move(self, status: StackStatus, running: set[str]) -> None:
        coming = [one for one in status.processes if one.name not in running]
        names = ", ".join(_doing(one.name, one.state) for one in coming if one.state is not ProcessState.WAITING)
        said = next(filter(None, map(_waits, coming)), None)
        more = f" ({said})" if said else ""
        words = Text(f"{len(running)} of {len(status.processes)} are running; starting {names}{more}", no_wrap=True)
        words.truncate(max(1, self._console.width - 4), overflow="ellipsis")
        if self._line is None:
            self._line = self._console.status(words)
            self._line.start()
        else:
            self._line.update(words)

    def _stop(self) -> None:
        if self._line is not None:
            self._line.stop()
            self._line = None

    @contextmanager
    def _bar(self, what: str, total: int) -> Iterator[Advance]:
        name = TextColumn("{task.description}", markup=False)
        with Bar(
            name, BarColumn(), DownloadColumn(), TimeElapsedColumn(), console=self._console, transient=True
        ) as bar:
            task = bar.add_task(what, total=total)
            yield lambda more: bar.advance(task, more)

    @contextmanager
    def _lines(self, what: str, total: int) -> Iterator[Advance]:
        done = said = 0

        def advance(more: int) -> None:
            nonlocal done, said
            done += more
            fifth = min(_LINES, done * _LINES // max(1, total))
            if fifth > said:
                said = fifth
                self.say(f"{what}: {done / _MEGA:.0f} of {max(done, total) / _MEGA:.0f} MB")

        yield advance


def _waits(one: ProcessStatus) -> str | None:
    """What a process that starts for long has written last; None where it is not so."""
    long = one.state is ProcessState.STARTING and one.uptime_s() >= _LONG_S
    return last_line(Path(one.log)) if long else None


def _doing(name: str, state: ProcessState) -> str:
    return f"{name} (again)" if state is ProcessState.BACKOFF else name
