"""The packaged table as its schema wants it, lookups by name and day, versions, and tables of one's own."""

from __future__ import annotations

import datetime as dt
import json
import random
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator

from aiosv3.router.prices import (
    BadPrices,
    Entry,
    Price,
    PriceTable,
    packaged_table,
    parse_table,
    read_table,
    table_schema,
)

PACKAGED = packaged_table()
DAY = dt.date(2026, 11, 30)
ENTRY = {"provider": "p", "model": "m", "effective_from": "2026-01-01", "input": 1, "output": 2, "source": "https://x"}


def ms(day: str) -> int:
    return int(dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC).timestamp() * 1000)


def table(*entries: dict[str, Any], **more: Any) -> PriceTable:
    content = {"format": 1, "checked": "2026-11-30", "prices": [{**ENTRY, **entry} for entry in entries], **more}
    return parse_table(json.dumps(content), "t")


def test_the_packaged_table_is_as_its_schema_wants_it() -> None:
    Draft202012Validator.check_schema(table_schema())
    text = (files("aiosv3.router.prices") / "prices.json").read_text(encoding="utf-8")
    assert parse_table(text, "packaged") == PACKAGED
    for one in PACKAGED.entries:
        assert one.provider in PACKAGED.hosts.values()
        assert one.verified
        assert urlsplit(one.source).hostname
        assert 0 < one.price.input_micros_per_mtok <= one.price.output_micros_per_mtok
        for _, long in one.price.tiers:
            assert long.input_micros_per_mtok > one.price.input_micros_per_mtok
            assert long.of_cache() >= one.price.of_cache()
        assert one.price.of_cache()[0] <= one.price.input_micros_per_mtok <= one.price.of_cache()[1]
    assert {one.provider for one in PACKAGED.entries} == {"openai", "anthropic", "google", "mistral", "deepseek"}
    assert all(one.effective_from <= PACKAGED.checked + dt.timedelta(days=60) for one in PACKAGED.entries)


def test_what_is_written_is_read_again_to_the_micro_dollar() -> None:
    again = parse_table(json.dumps(PACKAGED.to_json()), "again")
    assert (again.entries, again.hosts, again.version) == (PACKAGED.entries, PACKAGED.hosts, PACKAGED.version)


def test_a_price_holds_from_its_day_on_in_utc() -> None:
    found = table(
        {"input": 1}, {"input": 3, "effective_from": "2026-12-01"}, {"input": 9, "effective_from": "2027-01-01"}
    )

    def at(day: str) -> int | None:
        entry = found.find("p", "m", ms(day))
        return None if entry is None else entry.price.input_micros_per_mtok // 1_000_000

    assert at("2026-11-30T23:59:59.999") == 1
    assert at("2026-12-01T00:00:00") == 3
    assert at("2030-01-01") == 9
    assert at("2020-01-01") == 1, "the oldest that is known, rather than nothing"


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("m-1", True),
        ("models/m-1", True),
        ("m-1-latest", True),
        ("m-1-2026-11-17", True),
        ("m-1-20261117", True),
        ("m-1-1117", True),
        ("m-1-mini", False),
        ("m-1-fast-latest", False),
        ("m-1-2026-11-17-mini", False),
        ("m-10", False),
        ("m", False),
        ("", False),
    ],
)
def test_a_name_stands_for_its_versions_and_for_no_other_model(name: str, fits: bool) -> None:
    assert (table({"model": "m-1"}).find("p", name, 0) is not None) is fits


def test_the_closest_name_counts_alone() -> None:
    found = table(
        {"model": "m-*", "input": 1},
        {"model": "m-big*", "input": 2},
        {"model": "m-big-1", "input": 3, "effective_from": "2027-01-01"},
        {"model": "m-big-1-2026-11-17", "input": 4},
    )
    names = {"m-x": 1, "m-big-x": 2, "m-big-1": 3, "m-big-1-latest": 3, "m-big-1-2026-11-17": 4}
    for name, price in names.items():
        entry = found.find("p", name, ms("2026-11-30"))
        assert entry is not None
        assert entry.price.input_micros_per_mtok == price * 1_000_000, name


def test_without_a_provider_a_model_must_be_one_providers_alone() -> None:
    found = table({"model": "m"}, {"model": "n"}, {"model": "n", "provider": "q"})
    assert found.find(None, "m", 0) is not None
    assert found.find(None, "n", 0) is None
    assert found.find("q", "n", 0) is not None
    assert found.find("q", "m", 0) is None


def test_the_version_is_of_what_the_table_says_about_prices() -> None:
    shuffled = list(PACKAGED.entries)
    random.Random(1).shuffle(shuffled)
    said = [
        Entry(one.provider, one.model, one.effective_from, one.price, "https://elsewhere", note="n") for one in shuffled
    ]
    assert PriceTable(DAY, tuple(said), PACKAGED.hosts).version == PACKAGED.version
    assert len(PACKAGED.version) == 12
    base = table({})
    for other in (
        {"input": 1.000001},
        {"cache_read": 0.5},
        {"batch_percent": 50},
        {"effective_from": "2026-01-02"},
        {"model": "n"},
    ):
        assert table(other).version != base.version
    tiered = {"long_context": [{"above": 9, "input": 1, "output": 2}]}
    assert table(tiered).version != base.version
    assert table({"cache_read": 1}).version == base.version, "as input: nothing that a bill could tell"


def test_ones_own_table_replaces_all_prices_of_a_model_and_keeps_the_rest() -> None:
    theirs = table(
        {"input": 1}, {"input": 2, "effective_from": "2026-06-01"}, {"model": "n"}, providers={"p": {"hosts": ["a"]}}
    )
    own = table({"input": 7}, {"provider": "r"}, providers={"r": {"hosts": ["b"]}})
    both = own.over(theirs)
    assert [one.price.input_micros_per_mtok for one in both.history("p", "m")] == [7_000_000]
    assert both.find("p", "n", 0) is not None
    assert both.find("r", "m", 0) is not None
    assert both.hosts == {"a": "p", "b": "r"}


def test_a_price_finer_than_a_micro_dollar_is_rounded_up() -> None:
    (entry,) = table({"input": 0.0000011, "output": 0.0028}).entries
    assert entry.price == Price(2, 2_800)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"input": -1}, "prices/0/input: -1 is less than the minimum"),
        ({"input": "1"}, "prices/0/input: '1' is not of type 'number'"),
        ({"price": 1}, "'price' was unexpected"),
        ({"model": "a b"}, "prices/0/model"),
        ({"model": "a*b"}, "prices/0/model"),
        ({"effective_from": "1.1.2026"}, "prices/0/effective_from"),
        ({"effective_from": "2026-02-30"}, "day is out of range"),
        ({"source": "http://x"}, "prices/0/source"),
        ({"verified": "yes"}, "prices/0/verified"),
        ({"long_context": [{"above": 9, "input": 1, "output": 1}] * 2}, "m: long_context is not in order of above"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(BadPrices) as raised:
        table(entry)
    assert str(raised.value).startswith("t: ")
    assert words in str(raised.value)


def test_one_day_has_one_price() -> None:
    with pytest.raises(BadPrices, match="p m has two prices from 2026-01-01 on"):
        table({}, {"input": 3})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadPrices, match=r"nothing\.json cannot be read: No such file"):
        read_table(tmp_path / "nothing.json")
    path = tmp_path / "prices.json"
    path.write_bytes(b"\xff")
    with pytest.raises(BadPrices, match="is not text"):
        read_table(path)
    path.write_text('{"format": NaN}')
    with pytest.raises(BadPrices, match=r"prices\.json is not JSON: NaN is no number"):
        read_table(path)
    path.write_text("[]")
    with pytest.raises(BadPrices, match="the document: "):
        read_table(path)
