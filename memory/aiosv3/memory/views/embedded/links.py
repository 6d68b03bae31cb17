"""What rows take from their neighbours in the same source."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aiosv3.memory.views.embedded.ranking import Nearness
from aiosv3.memory.views.embedded.table import Mask, Table

Floats = NDArray[np.float64]
Steps = list[tuple[float, NDArray[np.int32]]]

_NOBODY: Final = np.int32(-1)


class Walks:
    """Which row is how many steps before or after each row; -1 where there is none, or none that may be seen."""

    def __init__(self, table: Table, visible: Mask) -> None:
        there = np.append(visible, False)
        self._links = {
            name: np.where(there[:-1] & there[table.column(name)], table.column(name), _NOBODY)
            for name in ("before", "after")
        }
        self._walked: dict[str, list[NDArray[np.int32]]] = {name: [] for name in self._links}
        self.count = table.count

    def steps(self, name: str, shares: tuple[float, ...]) -> Steps:
        """For each share the row so many steps ``before`` or ``after``."""
        walked = self._walked[name]
        padded = np.append(self._links[name], _NOBODY)
        while len(walked) < len(shares):
            walked.append(padded[walked[-1]] if walked else self._links[name])
        return list(zip(shares, walked, strict=False))


class Links:
    """What rows take from the visible rows near them, for one kind of nearness.

    ``takes``: for each row the share (0 to 1) of the nearness that it takes.
    """

    def __init__(self, walks: Walks, nearness: Nearness, takes: NDArray[np.floating[Any]]) -> None:
        # A row's words go to the row after it as "before", and the other way round.
        self._gives = [*walks.steps("after", nearness.before), *walks.steps("before", nearness.after)]
        self._asks = [*walks.steps("before", nearness.before), *walks.steps("after", nearness.after)]
        self._takes = np.append(takes, 0.0)
        self._count = walks.count

    def spread(self, rows: NDArray[Any], values: NDArray[Any]) -> Floats:
        """The values of these rows, and what their neighbours take of them: one number for every row there is."""
        places = [np.empty(0, np.int32), *(steps[rows] for _, steps in self._gives)]
        weights = [np.empty(0), *(share * values for share, _ in self._gives)]
        # Row -1 stands for "no neighbour".
        given = np.bincount(np.concatenate(places) + 1, np.concatenate(weights), self._count + 1)
        spread: Floats = given[1:].astype(np.float64, copy=False) * self._takes[:-1]
        spread[rows] += values
        return spread

    def widened(self, values: Floats) -> Floats:
        """As ``spread``, of all rows at once."""
        padded = np.append(values, 0.0)
        given = np.zeros(self._count)
        for share, steps in self._asks:
            given += share * padded[steps]
        widened: Floats = values + given * self._takes[:-1]
        return widened

    def around(self, rows: NDArray[Any]) -> NDArray[np.integer[Any]]:
        """The rows and all neighbours that they take from, each once, in order."""
        marks = np.zeros(self._count + 1, np.bool_)
        marks[rows] = True
        for _, steps in self._asks:
            marks[steps[rows]] = True
        return np.flatnonzero(marks[:-1])

    def shares(self, rows: NDArray[Any]) -> tuple[Floats, Floats]:
        """For each row the sum of all shares that it is made of, its own 1 included, and the sum of their squares."""
        sums, squares = np.ones(len(rows)), np.ones(len(rows))
        for share, steps in self._asks:
            taken = share * self._takes[rows] * (steps[rows] >= 0)
            sums += taken
            squares += taken * taken
        return sums, squares

    def gather(self, rows: NDArray[Any], values: Floats) -> Floats:
        """As ``spread``, for these rows alone; ``values``: one for every row there is."""
        padded = np.append(values, 0.0)
        found: Floats = padded[rows]
        for share, steps in self._asks:
            found += share * self._takes[rows] * padded[steps[rows]]
        return found
