"""How an embedded view ranks: the weights, and the one set of them that is used unless somebody measured another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Nearness:
    """How much a memory takes from the ones before and after it in its source, nearest first."""

    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The weights of one view. The best lexical score of a query counts as 1, and so does the best dense one.

    ``lexical`` and ``dense`` weigh the two; all others say how much is added to a score, or how it is made.
    """

    lexical: float = 1.0
    dense: float = 1.25
    speaker: float = 0.1
    """Added to what was said by the one person whom the query names."""
    date: float = 0.4
    """Added to what was said on a date that the query names; less with each day away from it."""
    source: float = 0.5
    """What a whole conversation's or document's lexical score adds to those of its parts."""
    recency: float = 0.02
    """Added to what is new; half of it after ``half_life_days``."""
    half_life_days: float = 30.0
    importance: float = 0.1
    """Added to a memory of importance 1."""
    k1: float = 1.5
    """BM25's saturation of term frequency."""
    b: float = 0.7
    """BM25's share of the normalisation by length."""
    words_near: Nearness = Nearness(before=(0.7, 0.35), after=(0.3, 0.15))
    """Words of a turn count for its neighbours too: an answer seldom repeats its question."""
    meaning_near: Nearness = Nearness(before=(0.5, 0.25), after=(0.25, 0.1))
    long_text: float = 40.0
    """Terms. A memory this long takes half as much from its neighbours, a longer one less: it stands for itself."""


DEFAULT: Final = Ranking()
"""Chosen by leave-one-out over conversations and checked on plain documents; docs/memory/finding.md has the figures."""
