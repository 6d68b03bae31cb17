"""Dollars an hour by tokens a second: idle, busy, many calls at once, and an hour of work."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.endpoints.errors import EndpointError, ServerFault, Spent
from aiosv3.router.prices.measured import (
    ASSUMED_S,
    WINDOW_S,
    Metered,
    Throughput,
    own_gpu_price,
    usd_micros_per_mtok,
)
from aiosv3.schemas.records import Prompt

TWO_USD = 2_000_000
CALL = Call(Prompt((), None, 100), "m", "id", 1.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Work:
    """A replica with a clock."""

    def __init__(self, assumed: float = 100.0) -> None:
        self.clock = Clock()
        self.measured = Throughput(assumed, self.clock)

    def call(self, seconds: float, tokens: int) -> None:
        self.measured.began()
        self.clock.now += seconds
        self.measured.ended(tokens)

    @property
    def rate(self) -> float:
        return self.measured.tokens_per_s()


def test_dollars_by_tokens_of_an_hour() -> None:
    assert usd_micros_per_mtok(TWO_USD, 100.0) == 5_555_556  # 2 USD by 360,000 tokens: 5.5556 USD a million
    assert usd_micros_per_mtok(TWO_USD, 1e12) == 1, "never free"


def test_an_idle_replica_costs_what_is_assumed() -> None:
    work = Work()
    assert work.rate == 100.0
    work.clock.now += 10_000
    assert work.rate == 100.0, "time without work is no measurement"


def test_work_takes_the_place_of_the_assumption() -> None:
    work = Work()
    for _ in range(60):
        work.call(10.0, 20_000)
    measured = (60 * 20_000 + 100 * ASSUMED_S) / (600 + ASSUMED_S)
    assert math.isclose(work.rate, measured, rel_tol=0.06)
    work.clock.now += WINDOW_S + 60
    assert work.rate == 100.0, "what is old does not count"


def test_one_slow_call_makes_no_pool_unaffordable() -> None:
    work = Work()
    work.call(60.0, 1)
    assert 50 < work.rate < 51
    work.call(10_000.0, 0)
    assert work.rate >= 100 * ASSUMED_S / (WINDOW_S + ASSUMED_S), "at least a part of what is assumed"


def test_calls_at_once_share_the_second() -> None:
    work = Work()
    for _ in range(10):
        work.measured.began()
    work.clock.now += 30.0
    for _ in range(10):
        work.measured.ended(3_000)
    assert math.isclose(work.rate, (30_000 + 6_000) / (30 + 60))


def test_a_call_that_still_runs_is_time_already() -> None:
    work = Work()
    work.measured.began()
    work.clock.now += 60.0
    assert math.isclose(work.rate, 50.0)


@given(st.lists(st.tuples(st.floats(0.1, 100), st.integers(1, 100_000)), min_size=1, max_size=40), st.floats(1, 10_000))
def test_the_rate_is_between_what_is_assumed_and_what_was_measured(
    calls: list[tuple[float, int]], assumed: float
) -> None:
    work = Work(assumed)
    for seconds, tokens in calls:
        work.call(seconds, tokens)
    rates = [assumed, *(tokens / seconds for seconds, tokens in calls)]
    assert min(rates) * 0.999 <= work.rate <= max(rates) * 1.001


def test_an_hour_of_work_is_billed_as_an_hour_of_the_gpu() -> None:
    """Long after the assumption has been outweighed: calls of any size sum up to what the hour costs."""
    work, billed = Work(600.0), 0
    for tokens in [4_000, 8_000, 6_000, 2_000] * 90:
        work.call(10.0, tokens)
        billed += own_gpu_price(usd_micros_per_mtok(TWO_USD, work.rate)).of(tokens // 2, tokens - tokens // 2)
    assert billed == pytest.approx(TWO_USD, rel=0.05)


def test_one_rate_for_all_tokens_that_are_worked_on() -> None:
    price = own_gpu_price(5_000_000)
    assert price.of(1_000, 1_000, 400) == 5 * (600 + 1_000)
    assert price.most(1_000, 1_000) == 10_000


class Answering:
    def __init__(self, work: Work, failure: EndpointError | None = None) -> None:
        self.work, self.failure, self.closed = work, failure, False

    async def complete(self, call: Call) -> Completed:
        self.work.clock.now += 30.0
        if self.failure is not None:
            raise self.failure
        return Completed("t", None, "stop", 10_000, 500, 4_000)

    async def probe(self) -> Probed:
        return Probed(("m",), 1)

    async def aclose(self) -> None:
        self.closed = True


async def test_a_metered_endpoint_is_the_endpoint_with_its_calls_counted() -> None:
    work = Work()
    inner = Answering(work)
    endpoint = Metered(inner, work.measured)
    assert (await endpoint.complete(CALL)).text == "t"
    assert math.isclose(work.rate, (6_500 + 6_000) / 90)
    assert (await endpoint.probe()).models == ("m",)
    await endpoint.aclose()
    assert inner.closed


async def test_a_call_that_fails_is_time_and_what_it_may_be_billed_for() -> None:
    work = Work()
    endpoint = Metered(Answering(work, ServerFault("x", spent=Spent(900, 0, 0))), work.measured)
    with pytest.raises(ServerFault):
        await endpoint.complete(CALL)
    assert math.isclose(work.rate, (900 + 6_000) / 90)
    work.clock.now += 100
    assert math.isclose(work.rate, (900 + 6_000) / 90), "nothing is left in flight"
