"""Prices of ``genai-prices`` as entries of ours: days, hours, tiers."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Any

import pytest

from aiosv3.app import genaiprices
from aiosv3.app.genaiprices import newer_prices
from aiosv3.app.settings import SettingsError
from aiosv3.router.prices import Price, PriceTable, Tier, packaged_table

pytest.importorskip("genai_prices")
from genai_prices import types

DAY = dt.date(2026, 11, 30)
EMPTY = PriceTable(DAY, ())
D = Decimal
_SEEN = "0.2.3"


def snapshot(prices: Any, name: str = "m") -> Any:
    model = types.ModelInfo(name, types.ClauseStartsWith(name), prices=prices)
    provider = types.Provider("p", "P", "x", pricing_urls=["http://plain", "https://prices"], models=[model])
    return SimpleNamespace(providers=[provider])


def entries(monkeypatch: pytest.MonkeyPatch, prices: Any, known: PriceTable = EMPTY) -> list[Any]:
    monkeypatch.setattr(genaiprices, "_snapshot", lambda *, online: snapshot(prices))
    return list(newer_prices([("p", "m-1"), ("p", "m-1"), ("p", "z"), ("q", "m")], known, DAY).entries)


def test_a_plain_price(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = types.ModelPrice(
        input_mtok=D("1.5"),
        output_mtok=D(2),
        cache_read_mtok=D("0.0036"),
        cache_write_1h_mtok=D(3),
        requests_kcount=D(9),
    )
    (entry,) = entries(monkeypatch, plain)
    assert (entry.provider, entry.model, entry.effective_from) == ("p", "m-1", dt.date(1970, 1, 1))
    assert entry.price == Price(1_500_000, 2_000_000, 3_600, None, 3_000_000)
    assert (entry.source, entry.verified) == ("https://prices", "second hand")
    assert entry.note.startswith("genai-prices ")


def test_days_and_the_dearest_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    def costs(rate: int, constraint: Any = None) -> Any:
        return types.ConditionalPrice(constraint, prices=types.ModelPrice(input_mtok=D(rate), output_mtok=D(rate)))

    start = types.StartDateConstraint(dt.date(2026, 12, 1))
    night = types.TimeOfDateConstraint(dt.time(1), dt.time(4))
    found = entries(monkeypatch, [costs(2), costs(5, start), costs(3, night)])
    assert [(one.effective_from, one.price.input_micros_per_mtok) for one in found] == [
        (dt.date(1970, 1, 1), 3_000_000),
        (dt.date(2026, 12, 1), 5_000_000),
    ]


def test_tiers_are_prices_of_the_whole_call(monkeypatch: pytest.MonkeyPatch) -> None:
    tiered = types.TieredPrices(D(1), [types.Tier(100, D(2)), types.Tier(200, D(3))])
    (entry,) = entries(monkeypatch, types.ModelPrice(input_mtok=tiered, output_mtok=D(9)))
    assert entry.price == Price(
        1_000_000,
        9_000_000,
        tiers=(Tier(100, Price(2_000_000, 9_000_000)), Tier(200, Price(3_000_000, 9_000_000))),
    )


def test_what_has_no_price_of_tokens_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert entries(monkeypatch, types.ModelPrice(output_image_mtok=D(9))) == []
    assert entries(monkeypatch, []) == []


@pytest.mark.skipif(version("genai-prices") != _SEEN, reason="its data are others than those that were compared")
def test_its_data_agree_with_the_packaged_table() -> None:
    """What both know costs the same: two readings of the same pages."""
    known = packaged_table()
    now = int(dt.datetime(2026, 11, 30, tzinfo=dt.UTC).timestamp() * 1000)
    theirs = newer_prices([(one.provider, one.model) for one in known.entries], known, DAY)
    compared = 0
    for one in {(entry.provider, entry.model) for entry in theirs.entries}:
        ours, other = known.find(*one, now), theirs.find(*one, now)
        assert ours is not None
        assert other is not None
        compared += 1
        assert ours.price.of(1_000, 1_000) == other.price.of(1_000, 1_000), one
        assert ours.price.of(900_000, 1_000) == other.price.of(900_000, 1_000), one
        assert ours.price.of(1_000, 0, 1_000) >= other.price.of(1_000, 0, 1_000), one
        assert ours.price.batch_percent == other.price.batch_percent, one
    assert compared >= 20


def test_it_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(genaiprices, "version", missing)
    with pytest.raises(SettingsError, match=r"pip install 'aiosv3\[prices\]'"):
        newer_prices([], EMPTY, DAY)


@pytest.mark.parametrize("answer", [None, OSError("no route")])
def test_a_fetch_that_fails_is_said(monkeypatch: pytest.MonkeyPatch, answer: Exception | None) -> None:
    def fetch(_self: Any) -> None:
        if answer is not None:
            raise answer

    monkeypatch.setattr("genai_prices.UpdatePrices.fetch", fetch)
    with pytest.raises(SettingsError, match="could not fetch its data"):
        newer_prices([], EMPTY, DAY, online=True)


def test_a_fetch_that_works_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = snapshot(types.ModelPrice(input_mtok=D(1), output_mtok=D(1)))
    monkeypatch.setattr("genai_prices.UpdatePrices.fetch", lambda _self: fetched)
    assert len(newer_prices([("p", "m")], EMPTY, DAY, online=True).entries) == 1
