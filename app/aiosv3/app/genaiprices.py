"""Newer prices from ``genai-prices``, an optional dependency: its data becomes a table of ours."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from aiosv3.app.settings import SettingsError
from aiosv3.router.prices import Entry, Price, PriceTable, Tier
from aiosv3.router.prices.table import micros

_FOR_EVER: Final = dt.date(1970, 1, 1)
_FALLBACK: Final = "https://github.com/pydantic/genai-prices"
_KEYS: Final = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok")


def newer_prices(
    wanted: Iterable[tuple[str, str]], known: PriceTable, today: dt.date, *, online: bool = False
) -> PriceTable:
    """The prices of ``wanted`` (provider, model), as far as it knows them.

    What batches cost is taken over from ``known``. ``online``: asks its project for the newest data, which needs a
    network. Raises :class:`SettingsError` where it is not installed, or gives no answer.
    """
    snapshot = _snapshot(online=online)
    note = f"genai-prices {version('genai-prices')}"
    entries: list[Entry] = []
    for provider, model in sorted(set(wanted)):
        percent = next((one.price.batch_percent for one in reversed(known.history(provider, model))), 100)
        entries += [
            replace(entry, price=replace(entry.price, batch_percent=percent))
            for entry in _entries(snapshot, provider, model, note)
        ]
    return PriceTable(today, tuple(entries))


def _snapshot(*, online: bool) -> Any:
    try:
        version("genai-prices")
    except PackageNotFoundError:
        raise SettingsError("this needs genai-prices: pip install 'aiosv3[prices]'") from None
    from genai_prices import UpdatePrices
    from genai_prices.data_snapshot import get_snapshot

    if not online:
        return get_snapshot()
    try:
        found = UpdatePrices().fetch()
    except Exception as error:  # noqa: BLE001 -- it says what its HTTP client or its decoder raises
        raise SettingsError(f"genai-prices could not fetch its data: {type(error).__name__}: {error}") from None
    if found is None:
        raise SettingsError("genai-prices could not fetch its data")
    return found


def _entries(snapshot: Any, provider: str, model: str, note: str) -> list[Entry]:
    owner = next((one for one in snapshot.providers if one.id == provider), None)
    found = None if owner is None else next((one for one in owner.models if one.is_match(model)), None)
    if owner is None or found is None:
        return []
    source = next((url for url in owner.pricing_urls or () if url.startswith("https://")), _FALLBACK)
    dated, hours = _conditions(found.prices)
    entries = []
    for since, price in sorted(dated.items()):
        dearest = _dearest([price, *hours])
        if dearest is not None:
            entries.append(Entry(provider, model, since, dearest, source, "second hand", note))
    return entries


def _conditions(prices: Any) -> tuple[dict[dt.date, Any], list[Any]]:
    """``(prices by the day from which they hold, prices of hours of the day)``."""
    if not isinstance(prices, list):
        return {_FOR_EVER: prices}, []
    dated, hours = {}, []
    for one in prices:
        if one.constraint is None:
            dated[_FOR_EVER] = one.prices
        elif hasattr(one.constraint, "start_date"):
            dated[one.constraint.start_date] = one.prices
        else:
            hours.append(one.prices)
    return dated, hours


def _dearest(prices: list[Any]) -> Price | None:
    """Of prices that hold at different hours; None where tokens have no price."""
    found = [price for price in map(_price, prices) if price is not None]
    return max(found, key=lambda price: (price.input_micros_per_mtok, price.output_micros_per_mtok), default=None)


def _price(said: Any) -> Price | None:
    rates = {key: getattr(said, key, None) for key in _KEYS}
    if rates["input_mtok"] is None and rates["output_mtok"] is None:
        return None
    starts = sorted({tier.start for rate in rates.values() for tier in getattr(rate, "tiers", ())})
    tiers = tuple(Tier(start, _at(rates, start + 1)) for start in starts)
    return _at(rates, 0, tiers)


def _at(rates: dict[str, Any], tokens: int, tiers: tuple[Tier, ...] = ()) -> Price:
    """The rates of a call with so much input."""
    fresh, out, read, written, kept = (_rate(rates[key], tokens) for key in _KEYS)
    return Price(fresh or 0, out or 0, read, written, kept, tiers=tiers)


def _rate(rate: Any, tokens: int) -> int | None:
    if rate is None or isinstance(rate, Decimal):
        return None if rate is None else micros(rate)
    begun = [tier.price for tier in rate.tiers if tokens > tier.start]
    return micros(begun[-1] if begun else rate.base)
