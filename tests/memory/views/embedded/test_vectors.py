"""Vectors in 8 bits and in one."""

from __future__ import annotations

import numpy as np
import pytest

from aiosv3.memory.views import VectorUnusable
from aiosv3.memory.views.embedded.vectors import Vectors


def filled(count: int, dimensions: int = 384) -> tuple[Vectors, np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    numbers = np.random.default_rng(3).standard_normal((count, dimensions), np.float32)
    vectors = Vectors(dimensions)
    for row, vector in enumerate(numbers):
        vectors.put(row, vector)
    return vectors, numbers / np.linalg.norm(numbers, axis=1, keepdims=True)


def test_cosines_are_nearly_exact() -> None:
    vectors, numbers = filled(300)
    rows = np.arange(300)
    assert vectors.cosines(numbers[7] * 3, rows) == pytest.approx(numbers @ numbers[7], abs=0.01)
    assert vectors.of(rows) == pytest.approx(numbers, abs=0.01)


def test_the_nearest_are_among_those_that_look_near() -> None:
    vectors, numbers = filled(2000)
    query = numbers[11] + 0.02 * np.random.default_rng(5).standard_normal(384).astype(np.float32)
    chosen = vectors.nearest(query, np.arange(2000), 100)
    assert 100 <= len(chosen) <= 140
    assert 11 in chosen


def test_a_removed_vector_leaves_nothing() -> None:
    vectors, numbers = filled(3)
    vectors.remove(1)
    vectors.remove(1)
    vectors.remove(999)
    assert vectors.having(np.array([0, 1, 2, 999])).tolist() == [0, 2]
    assert len(vectors) == 2
    assert not vectors.of(np.array([1])).any()
    assert not vectors._codes[1].any()
    assert not vectors._signs[:, 1].any()
    vectors.put(500, numbers[1])
    assert vectors.cosines(numbers[1], np.array([500])) == pytest.approx([1.0], abs=0.01)
    assert len(vectors) == 3


@pytest.mark.parametrize("numbers", [[0.0] * 4, [1.0, np.nan, 0, 0], [np.inf, 0, 0, 0], [1.0, 0.0]])
def test_what_has_no_direction_is_refused(numbers: list[float]) -> None:
    vectors = Vectors(4)
    with pytest.raises(VectorUnusable):
        vectors.put(0, np.array(numbers, np.float32))
    assert len(vectors) == 0
