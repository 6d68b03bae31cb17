"""The dated table, and who would not have been asked."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlsplit

import pytest

from aiosv3.app.demo.facts import Records
from aiosv3.app.demo.prices import ListPrice, Withheld, list_prices, withheld


def test_the_table_is_dated_and_says_where_it_is_from() -> None:
    prices = list_prices()
    assert {price.provider for price in prices} == {"OpenAI", "Anthropic"}
    for price in prices:
        assert dt.date.fromisoformat(price.effective_from).year >= 2026
        assert urlsplit(price.source).scheme == "https"
        assert price.input_usd_per_mtok > 0
        assert price.output_usd_per_mtok > 0


def test_a_price_is_for_a_million_tokens() -> None:
    price = ListPrice("P", "m", 2.0, 10.0, "2026-01-01", "https://example.org", "")
    assert price.usd(500_000, 100_000) == pytest.approx(2.0)


def test_tasks_above_public_and_their_calls(runs: Any) -> None:
    records = Records(
        [runs.task("a"), runs.task("b", clearance="internal"), runs.task("c", clearance="confidential")],
        [],
        [],
        [runs.completion("a"), runs.completion("b"), runs.completion("b", step="2")],
    )
    assert withheld(records) == Withheld(("b", "c"), ("b", "b"), 3)


def test_a_class_that_is_missing_is_no_permission(runs: Any) -> None:
    assert withheld(Records([runs.task("a", clearance="")], [], [], [])).tasks == ("a",)
