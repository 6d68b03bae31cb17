"""What is said of memory over time."""

from __future__ import annotations

import pytest
from soak import summary


def test_growth_is_between_the_second_tenth_and_the_last() -> None:
    points = [(0.0, 10.0), *((float(at), 100.0 if at < 50 else 110.0) for at in range(1, 101))]
    found = summary(points)
    assert (found["first_mb"], found["last_mb"]) == (100.0, 110.0)
    assert found["growth"] == pytest.approx(0.1)
    assert found["least_mb"] == 100.0, "caches fill in the first tenth"
