"""What a task tells of itself while it works: ``progress``. It is shown to whoever follows the task, and is no step."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiosv3.agents.task import TaskRun

_LONGEST: Final = 4_000
_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Told:
    """One call of ``progress``. ``id``: the same in a replay, and no id of a step."""

    id: str
    text: str | None
    fraction: float | None


class Progress:
    """What the code has told since it was fed the last record; older calls were made before, in another life or here.

    ``wanted``: somebody follows the task; without that nothing is kept. Of very many calls at once the last are kept.
    """

    __slots__ = ("_count", "_told", "wanted")

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted
        self._count = 0
        self._told: deque[Told] = deque(maxlen=_KEPT)

    def tell(self, text: str | None, fraction: float | None) -> None:
        """Keeps it, if it is wanted."""
        self._count += 1
        if self.wanted:
            self._told.append(Told(f"progress.{self._count}", text, fraction))

    def take(self) -> list[Told]:
        """What is kept, oldest first; then nothing is."""
        told = list(self._told)
        self._told.clear()
        return told


class ProgressCalls:
    """The part of :class:`~aiosv3.agents.context.Context` that shows how far the task is."""

    __slots__ = ()
    _run: TaskRun

    def progress(self, said: str | float, fraction: float | None = None) -> None:
        """Shows a text, or how much is done (0 to 1), or both, to whoever follows the task; else it does nothing.

        Not recorded, so calls may come and go with any change of the code; not shown in a replay; it may be lost.
        Texts are cut at 4,000 characters. Raises ValueError for what is no fraction, OutsideStep within ``run``.
        """
        text: str | None = None
        if isinstance(said, str):
            text = said[:_LONGEST]
        elif fraction is None:
            fraction = said
        else:
            raise TypeError("progress takes a text, a fraction, or a text and a fraction")
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"how much is done is a number from 0 to 1, not {fraction!r}")
        run = self._run
        _ = run.at  # from another thread it would come at no moment of the task
        run.progress.tell(text, None if fraction is None else float(fraction))
