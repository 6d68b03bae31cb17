"""What is added up, and at which price; the log itself: ``commands/test_prices.py``."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from aiosv3.app.pricediff import Comparison, completion_in
from aiosv3.router.prices import PriceTable, parse_table
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.records import Completion, Outcome, Usage
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.log import Record

DAY_MS = 86_400_000
USED = Usage(1, 1_000, 100, 400, 7)
DONE = Completion(
    "t/1", "t", "t", "1", "a", 1, 0, 5, "h", 0, None, Outcome.OK, None, "cloud", "m", "stop", USED, 9
)  # fmt: skip


def table(*prices: dict[str, Any]) -> PriceTable:
    base = {"provider": "p", "model": "m", "effective_from": "1970-01-01", "source": "https://x"}
    return parse_table(
        json.dumps({"format": 1, "checked": "2026-01-01", "prices": [{**base, **one} for one in prices]}), "t"
    )


OLD = table({"input": 1, "output": 2, "cache_read": 0.5, "cache_write": 3, "cache_write_long": 5, "batch_percent": 50})
NEW = table({"input": 2, "output": 2}, {"input": 4, "output": 2, "effective_from": "1970-01-03"})


def compared(*calls: tuple[Completion, int], provider: str | None = "p", flex: tuple[str, ...] = ()) -> Comparison:
    found = Comparison(OLD, NEW, lambda _pool: provider, flex)
    for call, timestamp in calls:
        found.add(call, timestamp)
    return found


def test_each_call_counts_at_the_price_of_its_time() -> None:
    later = replace(DONE, request_id="t/2")
    (line,) = compared((DONE, 0), (later, 2 * DAY_MS)).lines()
    assert line.to_json() == {
        "pool": "cloud",
        "model": "m",
        "calls": 2,
        "input_tokens": 2_000,
        "cached_tokens": 800,
        "cache_write_tokens": 0,
        "output_tokens": 200,
        "recorded_usd_micros": 14,
        "old_usd_micros": 2 * (600 + 200 + 200),
        "new_usd_micros": 2_200 + 4_200,
        "delta_usd_micros": 2_200 + 4_200 - 2_000,
    }


def test_what_was_written_to_a_cache_has_its_price() -> None:
    wrote = replace(DONE, usage=replace(USED, cache_write_tokens=200, cache_write_long_tokens=100))
    (line,) = compared((wrote, 0)).lines()
    assert (line.old, line.cache_write_tokens) == (300 + 200 + 600 + 500 + 200, 300)


def test_calls_that_may_wait_count_at_the_price_of_batches() -> None:
    (line,) = compared((DONE, 0), flex=("cloud",)).lines()
    assert (line.old, line.new) == (500, 2_200), "the new table has none"


def test_a_copy_is_no_call_and_another_attempt_or_owner_is_one() -> None:
    again = replace(DONE, request_id="t/1~2")
    taken_over = replace(DONE, epoch=6)
    (line,) = compared((DONE, 0), (DONE, 1), (again, 2), (taken_over, 3)).lines()
    assert line.calls == 3


def test_what_was_refused_without_a_call_is_none() -> None:
    assert compared((replace(DONE, outcome=Outcome.REFUSED, usage=Usage()), 0)).lines() == []


def test_what_a_table_does_not_know_has_no_price_and_is_not_in_the_total() -> None:
    unknown = replace(DONE, request_id="t/3", model="other", usage=replace(DONE.usage, cost_usd_micros=99))
    found = compared((DONE, 0), (unknown, 0))
    first, second = found.lines()
    assert (first.model, first.old, first.new, first.delta) == ("other", None, None, None)
    assert second.model == "m"
    assert (found.total().calls, found.total().recorded, found.total().delta) == (1, 7, 1_200)


def test_a_pool_that_is_not_the_projects_any_more_is_known_by_its_model() -> None:
    (line,) = compared((DONE, 0), provider=None).lines()
    assert line.old == 1_000
    (line,) = compared((DONE, 0), provider="other").lines()
    assert line.old is None


async def test_garbage_is_no_call_whatever_schema_it_names() -> None:
    """Five bytes and nothing behind them may look like the id of a schema that nobody has registered."""
    store = SchemaStore()
    mesh = cast("Any", SimpleNamespace(codec=Codec(store), store=store))
    for value in (b"\x93 no call", b"\x00\x00\x00\x00\x01\xff\xff", b"\x00\x3b\x9a\xca\x00\x02", b"", None):
        assert await completion_in(mesh, Record("completions.cloud", 0, 7, 0, None, value, [])) is None
