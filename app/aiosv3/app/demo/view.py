"""What is to be seen while it runs: on a terminal a picture that moves, elsewhere lines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aiosv3.app.demo.calls import Tally
from aiosv3.app.demo.keys import LABELS, Chooser, Keyboard
from aiosv3.app.demo.kills import Kill
from aiosv3.app.demo.stack import Process

LABEL: Final = {"ours": "AIOSv3", "naive": "naive loop"}
_STEPS: Final = 5
_WIDE: Final = 105
_HIGH: Final = 32
_KILLS: Final = 8
_KILLS_SMALL: Final = 4


@dataclass(frozen=True, slots=True)
class Progress:
    """One side while it runs. ``rate``: results a second over the last ten seconds; ``last``: the newest first."""

    name: str
    done: int
    of: int
    done_twice: int
    calls: Tally
    rate: float
    last: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """The run at one moment. ``note``: a word about the phase that it is in."""

    seconds: float
    processes: tuple[Process, ...]
    sides: tuple[Progress, ...]
    kills: tuple[Kill, ...]
    note: str = ""
    choosing: bool = False


class View(Protocol):
    """Shows a run. Used as a context manager around it."""

    def __enter__(self) -> View: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def show(self, scene: Scene) -> None:
        """The run as it is now; called several times a second."""
        ...

    def told(self, kill: Kill) -> None:
        """A kill happened."""
        ...

    def victims(self, processes: Sequence[Process]) -> list[Process]:
        """The processes that somebody wants to be killed now."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether somebody wants to stop."""
        ...


class Lines(AbstractContextManager["Lines"]):
    """A line for each fifth of the results, and one for each kill."""

    stopped = False

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: set[int] = set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, scene: Scene) -> None:
        ours = scene.sides[0]
        step = _STEPS * ours.done // max(1, ours.of)
        if step in self._shown or (step == 0 and ours.done):
            return
        self._shown.add(step)
        words = ", ".join(f"{LABEL[side.name]} {side.done} of {side.of}" for side in scene.sides)
        self._console.print(f"  results after {scene.seconds:.0f} s: {words}", highlight=False)

    def told(self, kill: Kill) -> None:
        self._console.print(Text.assemble(("  kill -9 ", "red"), kill_words(kill)))

    def victims(self, processes: Sequence[Process]) -> list[Process]:
        return []


class Screen(AbstractContextManager["Screen"]):
    """A picture on ``console`` that moves, and keys from ``keyboard``."""

    def __init__(self, console: Console, keyboard: Keyboard) -> None:
        self._keyboard = keyboard
        self._chooser = Chooser()
        self._live = Live(console=console, refresh_per_second=5, transient=True)

    def __enter__(self) -> Screen:
        self._keyboard.__enter__()
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)
        self._keyboard.__exit__(kind, error, trace)

    def show(self, scene: Scene) -> None:
        size = self._live.console.size
        small = size.width < _WIDE or size.height < _HIGH
        self._live.update(picture(scene, keys=True, choosing=self._chooser.choosing, small=small))

    def told(self, kill: Kill) -> None:
        """It is in the picture."""

    def victims(self, processes: Sequence[Process]) -> list[Process]:
        return self._chooser.press(self._keyboard.pressed(), processes)

    @property
    def stopped(self) -> bool:
        return self._chooser.stopped


def picture(scene: Scene, *, keys: bool = False, choosing: bool = False, small: bool = False) -> RenderableType:
    """Processes at the left, the two sides at the right, kills below. ``small``: for a terminal of 80 by 24."""
    sides = Group(*(_side(side, small=small) for side in scene.sides))
    processes = _processes(scene.processes, choosing=choosing, small=small)
    parts: list[RenderableType] = [Columns([processes, sides], padding=(0, 1 if small else 3))]
    kills = scene.kills[-_KILLS_SMALL if small else -_KILLS :]
    parts += [Text.assemble(("kill -9 ", "red"), kill_words(kill)) for kill in kills]
    if keys:
        hint = "which one? its key, or any other to leave it" if choosing else "k kill a process   q quit"
        words = "   ".join(filter(None, (f"{scene.seconds:.0f} s", hint, scene.note)))
        parts.append(Text(words, style="bold" if choosing else "dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _processes(processes: Sequence[Process], *, choosing: bool, small: bool) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for column in ("", "process", *(() if small else ("pid",)), "state", "restarts"):
        table.add_column(column, justify="right" if column in {"pid", "restarts"} else "left", no_wrap=True)
    for label, one in zip(LABELS, processes, strict=False):
        up = one.state == "running"
        state = Text("up" if up else "restarting" if one.state == "backoff" else one.state, "green" if up else "red")
        key = Text(label if choosing else " ", "bold yellow")
        restarts = Text(str(one.restarts), "bold" if one.restarts else "dim")
        table.add_row(key, one.name, *(() if small else (str(one.pid or "-"),)), state, restarts)
    return table


def _side(side: Progress, *, small: bool) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=26 if small else 52)
    bar = ProgressBar(total=max(1, side.of), completed=side.done, width=24 if small else 30)
    table.add_row(Text(LABEL[side.name], "bold"), bar)
    table.add_row("results", f"{side.done} of {side.of}, {side.rate:.1f} a second")
    table.add_row("done twice", _count(side.done_twice))
    again = Text.assemble(f"{side.calls.calls}, paid twice ", _count(side.calls.paid_again))
    table.add_row("model calls", again)
    for place, words in enumerate(side.last[: 1 if small else None]):
        table.add_row("last" if place == 0 else "", Text(words, "dim"))
    return table


def _count(number: int) -> Text:
    return Text(str(number), "bold red" if number else "bold green")


def kill_words(kill: Kill) -> str:
    """What was killed, and when."""
    return f"{kill.name} (pid {kill.pid}) after {kill.seen} results"
