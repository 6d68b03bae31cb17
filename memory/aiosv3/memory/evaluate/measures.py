"""Measures of a ranking, and how sure they are."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

_DRAWS: Final = 2000
_TAIL: Final = 0.025


def recall(found: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The share of what is relevant that is among the first ``k``."""
    first = set(found[:k])
    return sum(each in first for each in relevant) / len(relevant)


def ndcg(found: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Normalised discounted cumulative gain (Järvelin & Kekäläinen 2002), gain as graded, as trec_eval has it."""
    ideal = sorted(grades.values(), reverse=True)[:k]
    best = sum(grade / math.log2(place + 2) for place, grade in enumerate(ideal))
    gain = sum(grades.get(each, 0) / math.log2(place + 2) for place, each in enumerate(found[:k]))
    return gain / best if best else 0.0


class Estimate(NamedTuple):
    """A mean over all questions and the interval that holds it in 95 of 100 samples of groups."""

    mean: float
    low: float
    high: float
    questions: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimate(groups: Sequence[Sequence[float]], seed: int = 1) -> Estimate:
    """The mean with a bootstrap interval over groups: questions of one conversation are no independent trials.

    With one group its questions are drawn instead.
    """
    values = [value for group in groups for value in group]
    if not values:
        return Estimate(math.nan, math.nan, math.nan, 0)
    drawn_from = [group for group in groups if group] if len(groups) > 1 else [[value] for value in values]
    draw = random.Random(seed)
    means = []
    for _ in range(_DRAWS):
        sample = draw.choices(drawn_from, k=len(drawn_from))
        means.append(sum(map(sum, sample)) / sum(map(len, sample)))
    means.sort()
    low, high = means[int(_DRAWS * _TAIL)], means[int(_DRAWS * (1 - _TAIL)) - 1]
    return Estimate(sum(values) / len(values), low, high, len(values))
