"""The index of one tenant: takes memories in and out, and finds them. Not for several threads at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aiosv3.memory.views.embedded.analysis import terms
from aiosv3.memory.views.embedded.finding import Finding
from aiosv3.memory.views.embedded.lexicon import Lexicon
from aiosv3.memory.views.embedded.ranking import Ranking
from aiosv3.memory.views.embedded.table import Table
from aiosv3.memory.views.embedded.vectors import Vectors
from aiosv3.memory.views.errors import VectorUnusable
from aiosv3.memory.views.port import Entry, Hit, Query, scan_order
from aiosv3.memory.views.speaking import spoken

_WORTH_A_REBUILD: Final = 1024
_AT_ONCE: Final = 1000
_BARE: Final = tuple(field.name for field in fields(Entry) if field.name != "vector")
_told: Final = attrgetter(*_BARE)


class Index:
    """Rows, words and vectors of one tenant. ``ranking`` may be changed at any time."""

    def __init__(self, ranking: Ranking) -> None:
        self.ranking = ranking
        self._clear()

    def __len__(self) -> int:
        return len(self._table)

    def entry(self, id_: str) -> Entry | None:
        """The memory of an id."""
        row = self._table.row(id_)
        return None if row is None else self._table.entries[row]

    def ids(self, subject: str) -> list[str]:
        """The memories of a subject."""
        return [entry.id for entry in self._table.held() if entry.subject == subject]

    def put(self, entry: Entry) -> None:
        """Takes a memory in, instead of what its id held before. Raises ``VectorUnusable``, and is as before."""
        self.put_all([entry])

    def put_all(self, entries: Sequence[Entry]) -> None:
        """As :meth:`put`, of memories with different ids: all of them, or none."""
        self._put_vectors(entries)
        old = [entry.id for entry in entries if self._table.row(entry.id) is not None]
        for id_ in old:
            self._take_out(id_)
        kept = [entry if entry.vector is None else _bare(entry) for entry in entries]
        for row, entry in enumerate(kept, self._table.put_all(kept)):
            self._lexicon.add(row, _terms(entry))
        if old:
            self._tidy()

    def _put_vectors(self, entries: Sequence[Entry]) -> None:
        """For the rows that these memories will have."""
        places: dict[str, list[int]] = {}
        for place, entry in enumerate(entries):
            if entry.vector is not None:
                places.setdefault(entry.embedder or "", []).append(place)
        given = {
            embedder: [vector for place in some if (vector := entries[place].vector) is not None]
            for embedder, some in places.items()
        }
        taking = {embedder: self._vectors.get(embedder) or Vectors(len(some[0])) for embedder, some in given.items()}
        checked = {embedder: vectors.checked(given[embedder]) for embedder, vectors in taking.items()}
        for embedder, vectors in taking.items():
            vectors.put_all(np.array(places[embedder]) + self._table.count, checked[embedder])
        self._vectors |= taking

    def remove(self, id_: str) -> bool:
        """Takes a memory out; whether there was one."""
        there = self._table.row(id_) is not None
        if there:
            self._take_out(id_)
            self._tidy()
        return there

    def rebuild(self) -> None:
        """Makes everything anew from the memories that are held: no empty rows, and no names that none of them has."""
        entries = [self._whole(row, entry) for row, entry in enumerate(self._table.entries) if entry is not None]
        self._clear()
        for start in range(0, len(entries), _AT_ONCE):
            self.put_all(entries[start : start + _AT_ONCE])

    def search(self, query: Query, now: int) -> list[Hit]:
        """The best ``query.k``, best first."""
        if query.k <= 0:
            return []
        if query.scans():
            return self._scan(query, now)
        visible = self._table.visible(query, now)
        if not visible.any():
            return []
        vectors = self._vectors.get(query.embedder or "") if query.vector is not None else None
        if vectors is not None and query.vector is not None and query.vector.shape != (vectors.dimensions,):
            raise VectorUnusable(f"the query's vector has shape {query.vector.shape}, not ({vectors.dimensions},)")
        return Finding(self._table, self._lexicon, vectors, self.ranking).hits(query, now, visible)

    def _clear(self) -> None:
        self._table = Table()
        self._lexicon = Lexicon()
        self._vectors: dict[str, Vectors] = {}

    def _take_out(self, id_: str) -> None:
        entry = self.entry(id_)
        row = self._table.remove(id_)
        if entry is not None:
            self._lexicon.remove(row, _terms(entry))
        vectors = self._vectors.get(entry.embedder or "") if entry is not None else None
        if vectors is not None:
            vectors.remove(row)

    def _tidy(self) -> None:
        empty = self._table.count - len(self._table)
        if empty > max(_WORTH_A_REBUILD, len(self._table)):
            self.rebuild()

    def _whole(self, row: int, entry: Entry) -> Entry:
        vectors = self._vectors.get(entry.embedder or "")
        rows = np.array([row], np.int32)
        if vectors is None or not len(vectors.having(rows)):
            return entry
        return replace(entry, vector=vectors.of(rows)[0])

    def _scan(self, query: Query, now: int) -> list[Hit]:
        """The newest. The rows of one source are known, and are not looked for."""
        table, source = self._table, query.one_source()
        rows: NDArray[np.integer[Any]]
        if source is None:
            rows = np.flatnonzero(table.visible(query, now))
        else:
            rows = table.of_source(source)
            rows = rows[table.visible(query, now, rows)]
        ranks = table.column("valid_from")[rows]
        if len(rows) > query.k:
            rows = rows[ranks >= np.partition(ranks, len(rows) - query.k)[len(rows) - query.k]]
        found = [entry for row in rows if (entry := table.entries[row]) is not None]
        found.sort(key=scan_order)
        return [Hit(entry, 0.0) for entry in found[: query.k]]


def _terms(entry: Entry) -> list[str]:
    return terms(spoken(entry.text, entry.speaker))


def _bare(entry: Entry) -> Entry:
    """Without its vector; what ``replace`` would give, in half the time."""
    return Entry(**dict(zip(_BARE, _told(entry), strict=True)))
