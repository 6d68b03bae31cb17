"""The rows of one tenant: which memory is in which row, by what it can be filtered, and who its neighbours are."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aiosv3.memory.views.port import Entry, Query

Rows = NDArray[np.int32]
Mask = NDArray[np.bool_]

_FIRST_ROOM: Final = 64
_NEVER: Final = np.iinfo(np.int64).max
_NONE: Final = -1
_COLUMNS: Final[dict[str, tuple[Any, Any]]] = {
    "held": (np.bool_, False),
    "scope": (np.int32, _NONE),
    "kind": (np.int32, _NONE),
    "subject": (np.int32, _NONE),
    "source": (np.int32, _NONE),
    "speaker": (np.int32, _NONE),
    "position": (np.int64, 0),
    "valid_from": (np.int64, 0),
    "valid_to": (np.int64, _NEVER),
    "expires_at": (np.int64, _NEVER),
    "trust": (np.int16, 0),
    "importance": (np.float32, 0),
    "before": (np.int32, _NONE),
    "after": (np.int32, _NONE),
}
"""Column → its type and what a row without a memory holds."""


class Names:
    """Numbers for names, so that a column of names can be compared as numbers."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str | None) -> int:
        """The number of a name, given now if need be; -1 for none."""
        return _NONE if name is None else self._numbers.setdefault(name, len(self._numbers))

    def among(self, names: Collection[str], column: NDArray[Any]) -> Mask:
        """Which rows of a column hold one of these names."""
        # The last place is that of "none", -1.
        marks = np.zeros(len(self._numbers) + 1, np.bool_)
        marks[[self._numbers[name] for name in names if name in self._numbers]] = True
        found: Mask = marks[column]
        return found

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self._numbers.items())

    def __len__(self) -> int:
        return len(self._numbers)


class Table:
    """Rows are given out in order and never again, so lists of rows stay sorted; ``count`` of them were given out."""

    def __init__(self) -> None:
        self.count = 0
        self.entries: list[Entry | None] = []
        self.names = {name: Names() for name in ("scope", "kind", "subject", "source", "speaker")}
        self._columns = {name: np.full(_FIRST_ROOM, empty, kind) for name, (kind, empty) in _COLUMNS.items()}
        self._row_of: dict[str, int] = {}
        self._placed: dict[tuple[int, int, int], int] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def column(self, name: str) -> NDArray[Any]:
        """One column, as long as there are rows. A view into it: valid until the next ``put``."""
        return self._columns[name][: self.count]

    def row(self, id_: str) -> int | None:
        """Where a memory is."""
        return self._row_of.get(id_)

    def held(self) -> Iterator[Entry]:
        """All memories, oldest row first."""
        return (entry for entry in self.entries if entry is not None)

    def put(self, entry: Entry) -> int:
        """Gives a memory a row. It must have none."""
        row = self.count
        if row == len(self._columns["held"]):
            self._grow()
        self.count += 1
        self.entries.append(entry)
        self._row_of[entry.id] = row
        values = {name: self.names[name].number(getattr(entry, name)) for name in ("scope", "kind", "subject")}
        values["speaker"] = self.names["speaker"].number(entry.speaker.lower() if entry.speaker else None)
        values["source"] = self.names["source"].number(entry.source or None)
        for name in ("position", "valid_from", "trust"):
            values[name] = getattr(entry, name)
        values["valid_to"] = _NEVER if entry.valid_to is None else entry.valid_to
        values["expires_at"] = _NEVER if entry.expires_at is None else entry.expires_at
        for name, value in values.items():
            self._columns[name][row] = value
        self._columns["importance"][row] = entry.importance
        self._columns["held"][row] = True
        self._link(row)
        return row

    def remove(self, id_: str) -> int:
        """Takes a memory out of its row; the row is empty from now on. Returns the row."""
        row = self._row_of.pop(id_)
        self._unlink(row)
        for name, (_, empty) in _COLUMNS.items():
            self._columns[name][row] = empty
        self.entries[row] = None
        return row

    def visible(self, query: Query, now: int) -> Mask:
        """Which rows a query may find: its conditions, and nothing expired."""
        mask = self._among("scope", query.scopes)
        mask &= self.column("expires_at") > now
        mask &= self.column("trust") >= query.min_trust
        if query.kinds is not None:
            mask &= self._among("kind", query.kinds)
        if query.subject is not None:
            mask &= self._among("subject", [query.subject])
        self._by_time(query, mask)
        self._by_source(query, mask)
        return mask

    def _by_time(self, query: Query, mask: Mask) -> None:
        starts, ends = self.column("valid_from"), self.column("valid_to")
        if query.since is not None:
            mask &= ends > query.since
        if query.until is not None:
            mask &= starts < query.until
        if query.at is not None:
            mask &= (starts <= query.at) & (ends > query.at)

    def _by_source(self, query: Query, mask: Mask) -> None:
        if query.sources is not None:
            mask &= self._among("source", query.sources)
        if query.without_sources:
            mask &= ~self._among("source", query.without_sources)
        if query.positions is not None:
            first, last = query.positions
            mask &= (self.column("position") >= first) & (self.column("position") <= last)

    def _among(self, name: str, names: Collection[str]) -> Mask:
        return self.names[name].among(names, self.column(name))

    def _grow(self) -> None:
        for name, (kind, empty) in _COLUMNS.items():
            old = self._columns[name]
            self._columns[name] = np.full(2 * len(old), empty, kind)
            self._columns[name][: len(old)] = old

    def _place(self, row: int, step: int) -> tuple[int, int, int]:
        columns = self._columns
        return int(columns["source"][row]), int(columns["kind"][row]), int(columns["position"][row]) + step

    def _link(self, row: int) -> None:
        if self._columns["source"][row] == _NONE:
            return
        # Of two at one place the newer is the neighbour of both sides.
        self._placed[self._place(row, 0)] = row
        for near, far, step in (("before", "after", -1), ("after", "before", 1)):
            other = self._placed.get(self._place(row, step), _NONE)
            self._columns[near][row] = other
            if other != _NONE:
                self._columns[far][other] = row

    def _unlink(self, row: int) -> None:
        place = self._place(row, 0)
        if self._placed.get(place) == row:
            del self._placed[place]
        for near, far in (("before", "after"), ("after", "before")):
            other = self._columns[near][row]
            if other != _NONE and self._columns[far][other] == row:
                self._columns[far][other] = _NONE
