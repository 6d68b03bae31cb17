"""One search in the index of a tenant: words and meaning, added up, and what else speaks for a memory."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aiosv3.memory.views.embedded.analysis import terms, words
from aiosv3.memory.views.embedded.dates import DAY_MS, closeness, dates
from aiosv3.memory.views.embedded.diversity import diverse
from aiosv3.memory.views.embedded.lexicon import Lexicon, Seen
from aiosv3.memory.views.embedded.links import Links, Walks
from aiosv3.memory.views.embedded.ranking import Ranking
from aiosv3.memory.views.embedded.table import Mask, Table
from aiosv3.memory.views.embedded.vectors import Vectors
from aiosv3.memory.views.port import Hit, Parts, Query
from aiosv3.memory.views.speaking import USERS, asks_about_the_asker

Floats = NDArray[np.float64]
Rows = NDArray[Any]

_MOST_COMPARED: Final = 512
"""Rows of each kind, lexical and dense, that are compared exactly: what is not near the top of either wins nothing."""
_MOST_TERMS: Final = 64
_LIKE_NEIGHBOURS: Final = 0.5
"""The cosine of neighbouring turns, assumed: it makes their weighted sum about one long."""
_CHOSEN_FROM: Final = 5
"""Diversity chooses k hits out of so many times k."""


class Finding:
    """What a search needs of a tenant. ``vectors``: those of the query's embedder, if the query has a vector."""

    def __init__(self, table: Table, lexicon: Lexicon, vectors: Vectors | None, ranking: Ranking) -> None:
        self._table = table
        self._lexicon = lexicon
        self._vectors = vectors
        self._ranking = ranking

    def hits(self, query: Query, now: int, visible: Mask) -> list[Hit]:
        """The best ``query.k`` of the visible rows, best first, equal scores by id."""
        walks = Walks(self._table, visible)
        lengths = self._lexicon.lengths()
        takes = self._ranking.long_text / (self._ranking.long_text + lengths)
        seen = Seen.of(visible, lengths, Links(walks, self._ranking.words_near, takes), self._table.column("source"))
        near, whole = self._lexicon.scores(terms(query.text)[:_MOST_TERMS], seen, self._ranking)
        lexical = near + self._ranking.source * whole
        rows = self._candidates(query, visible, lexical)
        if not len(rows):
            return []
        scale = self._ranking.lexical / (lexical[rows].max(initial=0.0) or 1.0)
        parts = np.zeros((len(rows), len(Parts._fields)))
        parts[:, 0] = near[rows] * scale
        parts[:, 1] = self._dense(query, rows, Links(walks, self._ranking.meaning_near, takes), visible)
        parts[:, 2] = whole[rows] * (self._ranking.source * scale)
        parts[:, 3] = self._recency(rows, query.at or now)
        parts[:, 4] = self._named(query, rows, visible)
        return self._best(query, rows, parts)

    def _candidates(self, query: Query, visible: Mask, lexical: Floats) -> Rows:
        most = max(_MOST_COMPARED, query.k * _CHOSEN_FROM)
        found = np.flatnonzero(lexical > 0)
        near: Rows = np.empty(0, np.int32)
        if query.vector is not None and self._vectors is not None:
            near = self._vectors.having(np.flatnonzero(visible))
            if len(found) + len(near) <= 2 * most:
                return _either(len(visible), found, near)
            near = self._vectors.nearest(query.vector, near, most)
        if len(found) > most:
            # And all that are equal to the last one: everything else decides which of them are best.
            found = found[lexical[found] >= np.partition(lexical[found], -most)[-most]]
        return _either(len(visible), found, near)

    def _dense(self, query: Query, rows: Rows, links: Links, visible: Mask) -> Floats:
        if query.vector is None or self._vectors is None:
            return np.zeros(len(rows))
        values = np.zeros(len(visible))
        around = self._vectors.having(links.around(rows))
        values[around] = self._vectors.cosines(query.vector, around)
        sums, squares = links.shares(rows)
        length = np.sqrt(squares * (1 - _LIKE_NEIGHBOURS) + sums * sums * _LIKE_NEIGHBOURS)
        found = links.gather(rows, values) / length
        scaled: Floats = np.maximum(found, 0) * (self._ranking.dense / (max(found.max(initial=0.0), 0.0) or 1.0))
        return scaled

    def _recency(self, rows: Rows, now: int) -> Floats:
        age = np.maximum(now - self._table.column("valid_from")[rows], 0) / DAY_MS
        new = self._ranking.recency * np.exp2(-age / self._ranking.half_life_days)
        lifted: Floats = new + self._ranking.importance * self._table.column("importance")[rows]
        return lifted

    def _named(self, query: Query, rows: Rows, visible: Mask) -> Floats:
        named = np.zeros(len(rows))
        spans = dates(query.text) if self._ranking.date else []
        if spans:
            named += self._ranking.date * closeness(spans, self._table.column("valid_from")[rows])
        speakers = self._speakers(query, visible)
        if len(speakers) == 1:
            named += self._ranking.speaker * (self._table.column("speaker")[rows] == speakers[0])
        return named

    def _speakers(self, query: Query, visible: Mask) -> list[int]:
        """The visible speakers that a query names, by all of their name or its first word."""
        asked = set(words(query.text))
        about_asker = asks_about_the_asker(query.text)
        there = np.bincount(self._table.column("speaker")[visible] + 1, minlength=len(self._table.names["speaker"]) + 1)
        return [
            number
            for name, number in self._table.names["speaker"]
            if there[number + 1] and ((name in USERS and about_asker) or (words(name)[:1] and words(name)[0] in asked))
        ]

    def _best(self, query: Query, rows: Rows, parts: Floats) -> list[Hit]:
        scores = parts.sum(axis=1)
        wanted = query.k * _CHOSEN_FROM if query.diversity > 0 else query.k
        if len(rows) > wanted:
            # All that are equal to the last one wanted: ids decide among them.
            least = -np.partition(-scores, wanted - 1)[wanted - 1]
            kept = np.flatnonzero(scores >= least)
            rows, parts, scores = rows[kept], parts[kept], scores[kept]
        entries = [self._table.entries[row] for row in rows]
        hits = [
            Hit(entry, float(score), Parts(*map(float, part)))
            for entry, score, part in zip(entries, scores, parts, strict=True)
            if entry is not None
        ]
        order = sorted(range(len(hits)), key=lambda place: (-hits[place].score, hits[place].entry.id))[:wanted]
        if query.diversity > 0:
            chosen = diverse(scores[order], self._alike(rows[order]), query.k, query.diversity)
            order = [order[place] for place in chosen]
        return [hits[place] for place in order]

    def _alike(self, rows: Rows) -> Floats:
        """How alike the texts of rows are, 0 to 1: by their vectors, else by the words that they share."""
        if self._vectors is not None:
            found = self._vectors.of(rows)
            likeness: Floats = np.maximum(np.einsum("ik,jk->ij", found, found), 0).astype(np.float64)
            return likeness
        sets = [frozenset(terms(entry.text)) if (entry := self._table.entries[row]) else frozenset() for row in rows]
        return np.array([[len(one & other) / (len(one | other) or 1) for other in sets] for one in sets])


def _either(count: int, one: Rows, other: Rows) -> Rows:
    """The rows that are in one or in both, in order."""
    marks = np.zeros(count, np.bool_)
    marks[one] = True
    marks[other] = True
    return np.flatnonzero(marks)
