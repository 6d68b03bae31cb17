"""Which row holds which term how often, and the BM25 of a query over what it may see.

BM25 with the idf that is never negative (Robertson & Zaragoza 2009, as Lucene has it). Term frequencies are those of a
window: a row also counts, for less, what its neighbours hold. All statistics are of the visible rows alone, so a score
says nothing about memories that the asker may not read.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aiosv3.memory.views.embedded.links import Links
from aiosv3.memory.views.embedded.ranking import Ranking

Floats = NDArray[np.float64]

_BITS: Final = 32
_TIMES: Final = (1 << _BITS) - 1
"""A row and how often it holds the term are one number: to take a memory in is one ``append`` a term."""


def _posting() -> array[int]:
    return array("q")


class Lexicon:
    """An inverted index. Rows are added in growing order; removing leaves nothing of a row behind."""

    def __init__(self) -> None:
        self._postings: defaultdict[str, array[int]] = defaultdict(_posting)
        self._lengths = array("f")

    def __len__(self) -> int:
        return len(self._postings)

    def add(self, row: int, terms: Sequence[str]) -> None:
        """Takes a row in; it must be above all rows before."""
        postings, first = self._postings, row << _BITS
        for term, times in Counter(terms).items():
            postings[term].append(first | times)
        self._lengths.extend([0.0] * (row - len(self._lengths)))
        self._lengths.append(len(terms))

    def remove(self, row: int, terms: Sequence[str]) -> None:
        """Takes a row out; ``terms`` as it was added with."""
        for term in set(terms):
            posting = self._postings[term]
            del posting[bisect_left(posting, row << _BITS)]
            if not posting:
                del self._postings[term]
        self._lengths[row] = 0.0

    def lengths(self) -> NDArray[np.float32]:
        """Terms in each row. Let go of it before the next ``add``."""
        return np.frombuffer(self._lengths, np.float32)

    def scores(self, terms: Sequence[str], seen: Seen, ranking: Ranking) -> tuple[Floats, Floats]:
        """The score of each row, and that of the source it is part of; 0 where nothing matches."""
        scores = np.zeros(seen.count)
        near = _Bm25(seen.links.widened(seen.lengths), seen.visible, ranking)
        whole = _Bm25(seen.source_lengths, seen.source_lengths > 0, ranking) if ranking.source else None
        sources = np.zeros(len(seen.source_lengths))
        for term, times in Counter(terms).items():
            rows, counts = self._visible(term, seen)
            if not len(rows):
                continue
            near.add(scores, seen.links.spread(rows, counts), len(rows), times)
            if whole is not None:
                in_sources = np.bincount(seen.sources[rows] + 1, counts, len(sources) + 1)[1:].astype(np.float64)
                whole.add(sources, in_sources, int(np.count_nonzero(in_sources)), times)
        return scores * seen.visible, np.append(sources, 0.0)[seen.sources] * seen.visible

    def _visible(self, term: str, seen: Seen) -> tuple[NDArray[Any], NDArray[Any]]:
        posting = self._postings.get(term)
        if posting is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        packed = np.frombuffer(posting, np.int64)
        packed = packed[seen.visible[packed >> _BITS]]
        return packed >> _BITS, packed & _TIMES


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one query may see of a tenant: its rows, their lengths, links and sources."""

    visible: NDArray[np.bool_]
    lengths: Floats
    """0 where a row may not be seen."""
    links: Links
    sources: NDArray[np.int32]
    """-1 without one."""
    source_lengths: Floats

    @property
    def count(self) -> int:
        """Rows, visible or not."""
        return len(self.visible)

    @classmethod
    def of(
        cls, visible: NDArray[np.bool_], lengths: NDArray[np.float32], links: Links, sources: NDArray[np.int32]
    ) -> Seen:
        """Everything that follows from which rows are visible."""
        seen = np.where(visible, lengths, 0.0)
        count = int(sources.max(initial=-1)) + 1
        return cls(visible, seen, links, sources, np.bincount(sources + 1, seen, count + 1)[1:].astype(np.float64))


class _Bm25:
    def __init__(self, lengths: Floats, counted: NDArray[np.bool_], ranking: Ranking) -> None:
        self._k1 = ranking.k1
        self._total = int(np.count_nonzero(counted))
        mean = lengths[counted].mean() if self._total else 1.0
        self._norms = ranking.k1 * (1 - ranking.b + ranking.b * lengths / max(mean, 1e-9))
        np.maximum(self._norms, 1e-9, out=self._norms)

    def add(self, scores: Floats, frequencies: Floats, holding: int, times: int) -> None:
        """Adds what a term that is in the query so many ``times`` says; ``holding``: how many hold it themselves."""
        rarity = np.log1p((self._total - holding + 0.5) / (holding + 0.5))
        there = np.flatnonzero(frequencies > 0)
        found = frequencies[there]
        scores[there] += found * (times * rarity * (self._k1 + 1)) / (found + self._norms[there])
