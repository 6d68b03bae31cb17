"""The rows of one tenant: which memory is in which row, by what it can be filtered, and who its neighbours are."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from itertools import count as count_from
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aiosv3.memory.views.port import Entry, Query

Rows = NDArray[np.integer[Any]]
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
_PLACE: Final = ("source", "kind", "position")


class Names:
    """Numbers for names, so that a column of names can be compared as numbers."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str | None) -> int:
        """The number of a name, given now if need be; -1 for none."""
        return _NONE if name is None else self._numbers.setdefault(name, len(self._numbers))

    def known(self, name: str) -> int:
        """The number of a name; -1 where it has none."""
        return self._numbers.get(name, _NONE)

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
        self._of_source: dict[int, array[int]] = {}

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
        return self.put_all([entry])

    def put_all(self, entries: Sequence[Entry]) -> int:
        """Gives memories rows, one after another; none of them has one. Returns the first of these rows."""
        first, count = self.count, len(entries)
        while first + count > len(self._columns["held"]):
            self._grow()
        self.count += count
        self.entries += entries
        self._row_of.update(zip((entry.id for entry in entries), range(first, self.count), strict=True))
        columns = self._told(entries)
        for name, values in columns.items():
            self._columns[name][first : self.count] = values
        self._columns["held"][first : self.count] = True
        for row, *place in zip(count_from(first), *(columns[name] for name in _PLACE), strict=False):
            self._link(row, *place)
        return first

    def _told(self, entries: Sequence[Entry]) -> dict[str, list[Any]]:
        """What goes into the columns."""
        number = {name: names.number for name, names in self.names.items()}
        told: dict[str, list[Any]] = {
            name: [number[name](getattr(entry, name)) for entry in entries] for name in ("scope", "kind", "subject")
        }
        told["source"] = [number["source"](entry.source or None) for entry in entries]
        told["speaker"] = [number["speaker"](entry.speaker.lower() if entry.speaker else None) for entry in entries]
        for name in ("position", "valid_from", "trust", "importance"):
            told[name] = [getattr(entry, name) for entry in entries]
        for name in ("valid_to", "expires_at"):
            told[name] = [_NEVER if (time := getattr(entry, name)) is None else time for entry in entries]
        return told

    def remove(self, id_: str) -> int:
        """Takes a memory out of its row; the row is empty from now on. Returns the row."""
        row = self._row_of.pop(id_)
        self._unlink(row)
        for name, (_, empty) in _COLUMNS.items():
            self._columns[name][row] = empty
        self.entries[row] = None
        return row

    def of_source(self, source: str) -> Rows:
        """The rows of all memories of a source."""
        number = self.names["source"].known(source)
        return np.array(self._of_source.get(number, ()), np.int32)

    def visible(self, query: Query, now: int, rows: Rows | None = None) -> Mask:
        """Which rows, of all or of these, a query may find: its conditions, and nothing expired."""
        where: slice | Rows = slice(None) if rows is None else rows
        mask = self._among("scope", query.scopes, where)
        mask &= self.column("expires_at")[where] > now
        mask &= self.column("trust")[where] >= query.min_trust
        if query.kinds is not None:
            mask &= self._among("kind", query.kinds, where)
        if query.subject is not None:
            mask &= self._among("subject", [query.subject], where)
        self._by_time(query, mask, where)
        self._by_source(query, mask, where)
        return mask

    def _by_time(self, query: Query, mask: Mask, where: slice | Rows) -> None:
        starts, ends = self.column("valid_from")[where], self.column("valid_to")[where]
        if query.since is not None:
            mask &= ends > query.since
        if query.until is not None:
            mask &= starts < query.until
        if query.at is not None:
            mask &= (starts <= query.at) & (ends > query.at)

    def _by_source(self, query: Query, mask: Mask, where: slice | Rows) -> None:
        if query.sources is not None:
            mask &= self._among("source", query.sources, where)
        if query.without_sources:
            mask &= ~self._among("source", query.without_sources, where)
        if query.positions is not None:
            first, last = query.positions
            positions = self.column("position")[where]
            mask &= (positions >= first) & (positions <= last)

    def _among(self, name: str, names: Collection[str], where: slice | Rows) -> Mask:
        return self.names[name].among(names, self.column(name)[where])

    def _grow(self) -> None:
        for name, (kind, empty) in _COLUMNS.items():
            old = self._columns[name]
            self._columns[name] = np.full(2 * len(old), empty, kind)
            self._columns[name][: len(old)] = old

    def _link(self, row: int, source: int, kind: int, position: int) -> None:
        if source == _NONE:
            return
        self._of_source.setdefault(source, array("i")).append(row)
        # Of two at one place the newer is the neighbour of both sides.
        placed, before, after = self._placed, self._columns["before"], self._columns["after"]
        placed[source, kind, position] = row
        if (other := placed.get((source, kind, position - 1))) is not None:
            before[row], after[other] = other, row
        if (other := placed.get((source, kind, position + 1))) is not None:
            after[row], before[other] = other, row

    def _unlink(self, row: int) -> None:
        source, kind, position = (int(self._columns[name][row]) for name in _PLACE)
        place = source, kind, position
        if (rows := self._of_source.get(source)) is not None:
            del rows[bisect_left(rows, row)]
        if self._placed.get(place) == row:
            del self._placed[place]
        for near, far in (("before", "after"), ("after", "before")):
            other = self._columns[near][row]
            if other != _NONE and self._columns[far][other] == row:
                self._columns[far][other] = _NONE
