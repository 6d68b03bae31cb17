"""The price table: dated list prices by provider and model."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from aiosv3.router.prices.errors import BadPrices
from aiosv3.router.prices.price import Price, Tier

_VERSION_OF: Final = re.compile(r"-(?:latest|\d{4}|\d{6}|\d{8}|\d{4}-\d{2}-\d{2})")
"""What may follow a model's name where one of its versions is meant."""
_DAY_MS: Final = 86_400_000
_EPOCH: Final = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Entry:
    """The price of a model from a day on (UTC). ``model`` with a ``*`` at its end: all names that begin so."""

    provider: str
    model: str
    effective_from: dt.date
    price: Price
    source: str
    verified: str = ""
    note: str = ""

    @property
    def since_ms(self) -> int:
        """The first millisecond at which it holds."""
        return (self.effective_from - _EPOCH).days * _DAY_MS

    def fits(self, model: str) -> int:
        """How closely it names ``model``: 0 not at all, the more the closer."""
        if self.model == model:
            return 1_000_000
        if self.model.endswith("*"):
            return len(self.model) if model.startswith(self.model[:-1]) else 0
        stem = model[: len(self.model)]
        return 1_000 + len(stem) if stem == self.model and _VERSION_OF.fullmatch(model[len(stem) :]) else 0

    def to_json(self) -> dict[str, Any]:
        """As the schema of the table has it."""
        written: dict[str, Any] = {
            "provider": self.provider,
            "model": self.model,
            "effective_from": self.effective_from.isoformat(),
            **_rates(self.price),
        }
        if self.price.batch_percent != 100:
            written["batch_percent"] = self.price.batch_percent
        if self.price.tiers:
            written["long_context"] = [{"above": above, **_rates(price)} for above, price in self.price.tiers]
        written["source"] = self.source
        written |= {"verified": self.verified} if self.verified else {}
        return written | ({"note": self.note} if self.note else {})


@dataclass(frozen=True)
class PriceTable:
    """``hosts``: whose API stands where. ``checked``: when the prices were last held against their sources."""

    checked: dt.date
    entries: tuple[Entry, ...]
    hosts: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        """Of what it says about prices, whatever its order, notes and sources: equal versions give equal bills."""
        said = sorted(
            [one.provider, one.model, one.effective_from.isoformat(), _numbers(one.price)] for one in self.entries
        )
        content = json.dumps([said, sorted(self.hosts.items())], separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def history(self, provider: str | None, model: str) -> tuple[Entry, ...]:
        """All prices of a model, the oldest first; none if it is not known.

        Entries that name it most closely are the only ones that count. ``provider`` None: any, where just one has such
        a model.
        """
        name = model.removeprefix("models/")
        fitting = [(one.fits(name), one) for one in self.entries if provider in {None, one.provider}]
        closest = max((how for how, _ in fitting), default=0)
        found = sorted((one for how, one in fitting if how and how == closest), key=lambda one: one.effective_from)
        return tuple(found) if len({one.provider for one in found}) == 1 else ()

    def find(self, provider: str | None, model: str, now: int) -> Entry | None:
        """The price at ``now``, in milliseconds since the epoch. Before the oldest that is known: the oldest."""
        history = self.history(provider, model)
        begun = [one for one in history if one.since_ms <= now]
        return begun[-1] if begun else next(iter(history), None)

    def dearest(self, provider: str | None) -> Price:
        """No price of the provider has a rate above one of these, whenever it holds; of all of them where none is its.

        What to reckon with where nobody knows better.
        """
        own = [one.price for one in self.entries if one.provider == provider]
        found = own or [one.price for one in self.entries]
        rates = [each for price in found for each in (price, *(tier.price for tier in price.tiers))]
        asked = max((rate.input_micros_per_mtok for rate in rates), default=0)
        answered = max((rate.output_micros_per_mtok for rate in rates), default=0)
        written, kept = (max((rate.of_cache()[at] for rate in rates), default=0) for at in (1, 2))
        return Price(asked, answered, None, written, max(written, kept))

    def over(self, other: PriceTable) -> PriceTable:
        """Both: a model that is in this table has its prices from here alone."""
        mine = {(one.provider, one.model) for one in self.entries}
        rest = tuple(one for one in other.entries if (one.provider, one.model) not in mine)
        return PriceTable(max(self.checked, other.checked), self.entries + rest, {**other.hosts, **self.hosts})

    def to_json(self) -> dict[str, Any]:
        """As the schema of the table has it."""
        hosts: dict[str, list[str]] = {}
        for host, provider in sorted(self.hosts.items()):
            hosts.setdefault(provider, []).append(host)
        return {
            "format": 1,
            "checked": self.checked.isoformat(),
            "providers": {provider: {"hosts": found} for provider, found in sorted(hosts.items())},
            "prices": [one.to_json() for one in self.entries],
        }


def packaged_table() -> PriceTable:
    """The table that comes with the package."""
    text = (files(__package__) / "prices.json").read_text(encoding="utf-8")
    return _table(_content(text, "the packaged table"), "the packaged table")  # a test holds it against the schema


def table_schema() -> dict[str, Any]:
    """The JSON Schema of a table."""
    found: dict[str, Any] = json.loads((files(__package__) / "schema.json").read_text(encoding="utf-8"))
    return found


def read_table(path: Path) -> PriceTable:
    """A table from a file. Raises :class:`BadPrices`."""
    try:
        return parse_table(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise BadPrices(f"{path} is not text: {error}") from None
    except OSError as error:
        raise BadPrices(f"{path} cannot be read: {error.strerror}") from None


def parse_table(text: str, where: str) -> PriceTable:
    """A table from its text; ``where`` names it in errors. Raises :class:`BadPrices`."""
    content = _content(text, where)
    _check(content, where)
    return _table(content, where)


def _content(text: str, where: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except ValueError as error:
        raise BadPrices(f"{where} is not JSON: {error}") from None


def _table(content: Mapping[str, Any], where: str) -> PriceTable:
    try:
        entries = tuple(_entry(one) for one in content["prices"])
        checked = dt.date.fromisoformat(content["checked"])
    except ValueError as error:
        raise BadPrices(f"{where}: {error}") from None
    _check_once(entries, where)
    named = content.get("providers", {})
    return PriceTable(checked, entries, {host: name for name, one in named.items() for host in one["hosts"]})


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _check(content: Any, where: str) -> None:
    """Against the schema, which is what the page of this table prints."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    fault = best_match(Draft202012Validator(table_schema()).iter_errors(content))
    if fault is not None:
        place = "/".join(str(part) for part in fault.absolute_path) or "the document"
        raise BadPrices(f"{where}: {place}: {fault.message}")


def _check_once(entries: Iterable[Entry], where: str) -> None:
    seen: set[tuple[str, str, dt.date]] = set()
    for one in entries:
        key = (one.provider, one.model, one.effective_from)
        if key in seen:
            raise BadPrices(f"{where}: {one.provider} {one.model} has two prices from {one.effective_from} on")
        seen.add(key)


def _entry(said: Mapping[str, Any]) -> Entry:
    tiers = tuple(Tier(one["above"], _price(one)) for one in said.get("long_context", ()))
    if [above for above, _ in tiers] != sorted({above for above, _ in tiers}):
        raise ValueError(f"{said['model']}: long_context is not in order of above")
    return Entry(
        said["provider"],
        said["model"],
        dt.date.fromisoformat(said["effective_from"]),
        _price(said, tiers, said.get("batch_percent", 100)),
        said["source"],
        said.get("verified", ""),
        said.get("note", ""),
    )


def _price(said: Mapping[str, Any], tiers: tuple[Tier, ...] = (), batch_percent: int = 100) -> Price:
    cached, written, kept = (
        None if name not in said else micros(said[name]) for name in ("cache_read", "cache_write", "cache_write_long")
    )
    return Price(micros(said["input"]), micros(said["output"]), cached, written, kept, batch_percent, tiers)


def micros(usd: Decimal | float) -> int:
    """US dollars as micro-dollars, rounded up."""
    exact = (usd if isinstance(usd, Decimal) else Decimal(str(usd))) * 1_000_000
    return int(exact.to_integral_value(rounding="ROUND_CEILING"))


def _rates(price: Price) -> dict[str, float]:
    """In US dollars."""
    said = {
        "input": price.input_micros_per_mtok,
        "output": price.output_micros_per_mtok,
        "cache_read": price.cached_micros_per_mtok,
        "cache_write": price.written_micros_per_mtok,
        "cache_write_long": price.kept_micros_per_mtok,
    }
    return {name: value / 1_000_000 for name, value in said.items() if value is not None}


def _numbers(price: Price) -> list[Any]:
    own = [price.input_micros_per_mtok, price.output_micros_per_mtok, *price.of_cache(), price.batch_percent]
    return [*own, [[above, _numbers(tier)] for above, tier in price.tiers]]
