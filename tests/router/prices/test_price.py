"""Bills: exact, rounded up, by the right tier."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from aiosv3.router.endpoints.errors import Spent
from aiosv3.router.prices import Price, Tier
from aiosv3.router.prices.price import together
from aiosv3.schemas.records import Usage

rates = st.integers(0, 100_000_000)
maybe = st.none() | rates
counts = st.integers(0, 2_000_000)
flat = st.builds(Price, rates, rates, maybe, maybe, maybe, st.integers(0, 100))
LONG = Price(2_000_000, 3_000_000, 200_000)
TIERED = Price(1_000_000, 2_000_000, 100_000, tiers=(Tier(100, LONG), Tier(200, Price(9_000_000, 9_000_000))))


@st.composite
def tiered(draw: st.DrawFn) -> Price:
    above = sorted(draw(st.sets(st.integers(1, 2_000_000), max_size=3)))
    return replace(draw(flat), tiers=tuple(Tier(one, draw(flat)) for one in above))


@given(tiered(), counts, counts, counts, counts, counts)
def test_a_bill_is_the_exact_sum_rounded_up(
    price: Price, fresh: int, out: int, read: int, written: int, kept: int
) -> None:
    total = fresh + read + written + kept
    rate = price.at(total)
    cached, wrote, stays = rate.of_cache()
    exact = Fraction(
        fresh * rate.input_micros_per_mtok
        + out * rate.output_micros_per_mtok
        + read * cached
        + written * wrote
        + kept * stays,
        1_000_000,
    )
    bill = price.of(total, out, read, written, kept)
    assert exact <= bill < exact + 1
    batch, share = price.batched().of(total, out, read, written, kept), Fraction(price.batch_percent, 100)
    # Each rate is rounded up to a micro-dollar for a million tokens.
    assert exact * share <= batch < exact * share + Fraction(total + out, 1_000_000) + 1
    assert batch <= bill


@given(tiered(), counts, counts, counts, counts, counts)
def test_nothing_costs_more_than_the_most(
    price: Price, fresh: int, out: int, read: int, written: int, kept: int
) -> None:
    total = fresh + read + written + kept
    assert price.of(total, out, read, written, kept) <= price.most(total, out)


@given(flat, counts, counts, counts, counts)
def test_calls_apart_cost_no_less_than_together(price: Price, a: int, b: int, c: int, d: int) -> None:
    assert price.of(a + c, b + d) <= price.of(a, b) + price.of(c, d) <= price.of(a + c, b + d) + 1


@given(flat, counts, counts)
def test_cache_counts_of_nobody_change_nothing(price: Price, tokens: int, out: int) -> None:
    plain = replace(price, cached_micros_per_mtok=None, written_micros_per_mtok=None, kept_micros_per_mtok=None)
    assert plain.of(tokens, out, tokens) == plain.of(tokens, out) == plain.of(tokens, out, 0, tokens // 2, tokens // 3)


def test_the_whole_call_is_in_the_tier_of_its_input() -> None:
    assert TIERED.of(100, 0) == 100
    assert TIERED.of(101, 10) == 2 * 101 + 30
    assert TIERED.of(101, 0, 101) == 21  # 20.2 of the long price, not 10.1 of the short one
    assert TIERED.of(201, 0, 201) == 9 * 201, "that tier has no price of its own for cached input"


def test_more_cached_than_sent_is_no_credit() -> None:
    assert Price(1_000_000, 0, 100_000).of(10, 0, 30) == 3


def test_a_long_write_costs_as_a_short_one_where_nothing_else_is_said() -> None:
    assert Price(1, 1, written_micros_per_mtok=5).of_cache() == (1, 5, 5)
    assert Price(1, 1, kept_micros_per_mtok=7).of_cache() == (1, 1, 7)


def test_usage_has_one_call_and_its_cost() -> None:
    price = Price(1_000_000, 2_000_000, 0, 4_000_000, 8_000_000)
    spent = Spent(11, 5, cached_tokens=4, written_tokens=2, kept_tokens=1, estimated=True)
    assert price.usage(spent) == Usage(1, 11, 5, 4, 4 + 10 + 8 + 8, 2, 1, estimated=True)


def test_a_call_that_was_not_let_wait_costs_what_others_cost() -> None:
    price = replace(TIERED, batch_percent=50).batched()
    assert price.usage(Spent(100, 10)).cost_usd_micros == 60
    assert price.usage(Spent(101, 0, cached_tokens=101)).cost_usd_micros == 11, "half of the long price"
    assert price.usage(Spent(100, 10, standard=True)).cost_usd_micros == 120
    assert TIERED.usage(Spent(100, 10, standard=True)).cost_usd_micros == 120


def test_what_one_request_has_used_in_several_calls() -> None:
    first, second = Usage(1, 10, 5, 4, 60, 2, 1, estimated=True), Usage(1, 1, 2, 3, 4, 5, 6)
    assert together(second, first) == Usage(1, 11, 7, 7, 64, 7, 7, estimated=True)
