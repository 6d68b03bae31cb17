"""What of a seed is left out, and the least of it that still fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from aiosv3.streams.testing import Faults


@dataclass(frozen=True, slots=True)
class Cut:
    """What of a seed is left out: faults and tasks by their numbers, the rest of its events, the noise."""

    faults: frozenset[int] = frozenset()
    tasks: frozenset[int] = frozenset()
    extras: bool = False
    noise: bool = False


WHOLE = Cut()


class Showing(Protocol):
    """What one seed showed. ``violations``: ``(invariant, words)``."""

    @property
    def seed(self) -> int: ...

    @property
    def violations(self) -> list[tuple[str, str]]: ...

    @property
    def history(self) -> str: ...


class Run(Protocol):
    """A module whose seeds can be cut."""

    TASKS: int

    def run_seed(self, seed: int, cut: Cut = WHOLE) -> Showing: ...

    def faults_of(self, seed: int) -> Faults: ...


@dataclass
class Shrinking:
    """Leaves out one thing after the other as long as the same invariant breaks; each such run is exact by itself."""

    run: Run
    seed: int
    invariant: str
    tried: int = field(default=0, init=False)

    def least(self, cut: Cut = WHOLE) -> Cut:
        """Of what ``cut`` leaves, in which the invariant breaks."""
        while (smaller := next((one for one in self._smaller(cut) if self._fails(one)), None)) is not None:
            cut = smaller
        return cut

    def _fails(self, cut: Cut) -> bool:
        self.tried += 1
        return any(invariant == self.invariant for invariant, _ in self.run.run_seed(self.seed, cut).violations)

    def _smaller(self, cut: Cut) -> Iterator[Cut]:
        """The halves first, then one by one; one task stays."""
        if not cut.extras:
            yield replace(cut, extras=True)
        if not cut.noise:
            yield replace(cut, noise=True)
        kinds = self.run.faults_of(self.seed).kinds()
        for some in _pieces([number for number in range(len(kinds)) if number not in cut.faults]):
            yield replace(cut, faults=cut.faults | {*some})
        tasks = [number for number in range(self.run.TASKS) if number not in cut.tasks]
        for some in _pieces(tasks):
            if len(some) < len(tasks):
                yield replace(cut, tasks=cut.tasks | {*some})


def _pieces(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    size = len(numbers)
    while size:
        for begin in range(0, len(numbers), size):
            yield numbers[begin : begin + size]
        size //= 2
