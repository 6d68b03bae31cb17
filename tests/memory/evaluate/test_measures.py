"""Recall, nDCG, and intervals that know what belongs together."""

from __future__ import annotations

import math

import pytest

from aiosv3.memory.evaluate.measures import estimate, ndcg, recall


def test_recall() -> None:
    assert recall(["a", "b", "c"], ["b", "x"], 2) == 0.5
    assert recall(["a", "b", "c"], ["c"], 2) == 0.0


def test_ndcg() -> None:
    assert ndcg(["a", "b"], {"a": 2, "b": 1}, 10) == 1.0
    assert ndcg(["b", "a"], {"a": 2, "b": 1}, 10) == pytest.approx((1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3)))
    assert ndcg(["x", "a"], {"a": 1}, 1) == 0.0
    assert ndcg([], {}, 10) == 0.0


def test_the_interval_is_wider_where_groups_differ() -> None:
    same = estimate([[0.0, 1.0] * 20] * 4)
    apart = estimate([[0.0] * 40, [1.0] * 40] * 2)
    assert (same.mean, apart.mean) == (0.5, 0.5)
    assert (same.low, same.high) == (0.5, 0.5)
    assert apart.high - apart.low > 0.5
    assert (same.questions, str(same)) == (160, "0.500 [0.500, 0.500]")


def test_one_group_is_drawn_by_question() -> None:
    found = estimate([[0.0, 1.0] * 50])
    assert 0.3 < found.low < 0.5 < found.high < 0.7
    assert found == estimate([[0.0, 1.0] * 50])


def test_nothing_asked_is_no_figure() -> None:
    assert math.isnan(estimate([]).mean)
