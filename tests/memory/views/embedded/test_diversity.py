"""Maximal marginal relevance."""

from __future__ import annotations

import numpy as np

from aiosv3.memory.views.embedded.diversity import diverse

ALIKE = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def test_without_diversity_the_best_come_first() -> None:
    assert diverse(np.array([0.5, 0.9, 0.1]), ALIKE, 2, 0.0) == [1, 0]


def test_what_says_the_same_comes_later() -> None:
    assert diverse(np.array([0.9, 0.8, 0.5]), ALIKE, 3, 0.5) == [0, 2, 1]


def test_no_more_than_there_are() -> None:
    assert diverse(np.array([0.9]), np.eye(1), 5, 1.0) == [0]
    assert diverse(np.array([]), np.eye(0), 5, 1.0) == []
