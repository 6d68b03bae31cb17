"""The index of one tenant: takes memories in and out, and finds them. Not for several threads at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from aiosv3.memory.views.embedded.analysis import terms
from aiosv3.memory.views.embedded.finding import Finding
from aiosv3.memory.views.embedded.lexicon import Lexicon
from aiosv3.memory.views.embedded.ranking import Ranking
from aiosv3.memory.views.embedded.table import Mask, Table
from aiosv3.memory.views.embedded.vectors import Vectors
from aiosv3.memory.views.errors import VectorUnusable
from aiosv3.memory.views.port import Entry, Hit, Query
from aiosv3.memory.views.speaking import spoken

_WORTH_A_REBUILD: Final = 1024


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
        vectors = None
        if entry.vector is not None:
            vectors = self._vectors.get(entry.embedder or "") or Vectors(len(entry.vector))
            vectors.put(self._table.count, entry.vector)
            self._vectors[entry.embedder or ""] = vectors
        old = self._table.row(entry.id)
        if old is not None:
            self._take_out(entry.id)
        kept = entry if entry.vector is None else replace(entry, vector=None)
        self._lexicon.add(self._table.put(kept), _terms(kept))
        if old is not None:
            self._tidy()

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
        for entry in entries:
            self.put(entry)

    def search(self, query: Query, now: int) -> list[Hit]:
        """The best ``query.k``, best first."""
        visible = self._table.visible(query, now)
        if not visible.any() or query.k <= 0:
            return []
        if not query.text.strip() and query.vector is None:
            return self._newest(visible, query.k)
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

    def _newest(self, visible: Mask, k: int) -> list[Hit]:
        rows = np.flatnonzero(visible)
        starts = self._table.column("valid_from")[rows]
        if len(rows) > k:
            kept = starts >= np.partition(starts, len(rows) - k)[len(rows) - k]
            rows = rows[kept]
        found = [entry for row in rows if (entry := self._table.entries[row]) is not None]
        found.sort(key=lambda entry: (-entry.valid_from, entry.source, -entry.position, entry.id))
        return [Hit(entry, 0.0) for entry in found[:k]]


def _terms(entry: Entry) -> list[str]:
    return terms(spoken(entry.text, entry.speaker))
