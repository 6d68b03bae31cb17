"""Hits that do not say the same twice: maximal marginal relevance (Carbonell & Goldstein 1998)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def diverse(scores: NDArray[np.float64], alike: NDArray[np.float64], k: int, diversity: float) -> list[int]:
    """The places of at most ``k`` of the scores, in the order to show them in.

    Each next one has the most of ``(1 - diversity) * score - diversity * likeness`` to the one shown that is most like
    it; the best score counts as 1.
    """
    top = scores.max(initial=0.0) or 1.0
    worth = (1 - diversity) * scores / top
    nearest = np.zeros(len(scores))
    left = np.ones(len(scores), dtype=bool)
    order: list[int] = []
    while left.any() and len(order) < k:
        gain = np.where(left, worth - diversity * nearest, -np.inf)
        place = int(gain.argmax())
        order.append(place)
        left[place] = False
        np.maximum(nearest, alike[place], out=nearest)
    return order
