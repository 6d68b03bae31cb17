"""Dates in questions."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from aiosv3.memory.views.embedded.dates import Span, closeness, dates


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dinner on May 3, 2023?", [Span(2023, 5, 3)]),
        ("dinner on 3 May 2023?", [Span(2023, 5, 3)]),
        ("the 3rd of May", [Span(None, 5, 3)]),
        ("in June 2022 and in July", [Span(2022, 6, None), Span(None, 7, None)]),
        ("2023-05-03 or 2023-06", [Span(2023, 5, 3), Span(2023, 6, None)]),
        ("what happened in 2021", [Span(2021, None, None)]),
        ("Sept. 4", [Span(None, 9, 4)]),
        ("what may happen, may I march?", []),
        ("in May", [Span(None, 5, None)]),
        ("room 2021 on page 12", []),
        ("January at 5 pm", [Span(None, 1, None)]),
        ("the decade, a janitor, the summary", []),
    ],
)
def test_dates(text: str, expected: list[Span]) -> None:
    assert dates(text) == expected


def at(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, 12, tzinfo=UTC).timestamp() * 1000)


def test_closeness_falls_with_each_day() -> None:
    times = np.array([at(2023, 5, 3), at(2023, 5, 6), at(2023, 5, 12), at(2022, 5, 3)])
    found = closeness([Span(2023, 5, 3)], times)
    assert found[0] == 1.0
    assert 1 > found[1] > 0.5 > found[2] > 0.1 > found[3]


def test_without_a_year_it_is_that_of_any() -> None:
    times = np.array([at(2023, 5, 3), at(2021, 5, 3), at(2022, 9, 9)])
    assert closeness([Span(None, 5, 3)], times).tolist()[:2] == [1.0, 1.0]
    assert closeness([Span(None, 5, 3)], times)[2] < 0.01


def test_a_day_that_is_none_is_near_nothing() -> None:
    assert closeness([Span(2023, 2, 30)], np.array([at(2023, 2, 28)])).tolist() == [0.0]
    assert closeness([Span(2023, 2, 3)], np.array([], np.int64)).tolist() == []
