from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aiosv3.router.pools import SERVER_FRESH_MS, STATUS_FRESH_MS, Pool, PoolTable, Price
from aiosv3.schemas.records import PoolState, PoolStatus

NOW = 1_000_000
UP = PoolStatus("a", "r1", PoolState.UP, "openai", "m", "public", 2, 10, 120, 0, None, NOW)


def table(*statuses: PoolStatus) -> PoolTable:
    made = PoolTable()
    for status in statuses:
        made.apply(status)
    return made


def test_a_pool_that_never_spoke_may_be_tried() -> None:
    health = table().health("a", NOW)
    assert not health.known
    assert health.down is None


def test_replicas_are_added_up() -> None:
    health = table(UP, replace(UP, replica="r2", in_flight=6, latency_ms_p50=80)).health("a", NOW)
    assert health.load == 8 / 20
    assert health.latency_ms == 80
    assert not health.degraded


def test_all_replicas_down_is_down_with_their_words() -> None:
    health = table(replace(UP, state=PoolState.DOWN, note="ServerFault 500")).health("a", NOW)
    assert health.down == "ServerFault 500"


def test_one_replica_up_is_up() -> None:
    assert table(replace(UP, state=PoolState.DOWN), replace(UP, replica="r2")).health("a", NOW).down is None


def test_a_replica_that_asked_for_silence_is_not_counted() -> None:
    resting = replace(UP, retry_after=NOW + 1, note="RateLimited 429")
    assert table(resting).health("a", NOW).down == "RateLimited 429"
    assert table(resting).health("a", NOW + 1).down is None


def test_old_words_do_not_count() -> None:
    old = replace(UP, state=PoolState.DOWN, updated=NOW - STATUS_FRESH_MS - 1)
    assert not table(old).health("a", NOW).known


def test_an_older_status_never_replaces_a_newer_one() -> None:
    made = table(UP, replace(UP, state=PoolState.DOWN, updated=NOW - 1))
    assert made.health("a", NOW).down is None


def test_degraded_only_when_all_are() -> None:
    half_open = replace(UP, state=PoolState.DEGRADED)
    assert table(half_open).health("a", NOW).degraded
    assert not table(half_open, replace(UP, replica="r2")).health("a", NOW).degraded


def test_prices_round_up_and_know_cached_tokens() -> None:
    price = Price(150_000, 600_000, cached_micros_per_mtok=75_000)
    assert price.of(1, 0) == 1
    assert price.of(1_000_000, 1_000_000) == 750_000
    assert price.of(1_000_000, 0, cached_tokens=1_000_000) == 75_000
    assert Price(150_000).of(1_000_000, 0, cached_tokens=500_000) == 150_000


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**8))
def test_a_price_is_never_negative_and_never_falls_with_more_tokens(
    given_: int, out: int, cached: int, micros: int
) -> None:
    price = Price(micros, micros)
    assert 0 <= price.of(given_, out, min(given_, cached)) <= price.of(given_ + 1, out + 1, min(given_, cached))


def test_the_price_of_a_pool_is_the_dearest_that_its_replicas_measured_lately() -> None:
    fixed, own = Pool("b", "openai", "m", price=Price(1, 2)), Pool("a", "vllm", "m", price=Price(9, 9, 0))
    assert table(UP).priced([fixed, own], NOW) == (fixed, own), "as assumed, until one has spoken"
    dear, cheap = replace(UP, usd_micros_per_mtok=7), replace(UP, replica="r2", usd_micros_per_mtok=5)
    for said in (table(dear, cheap), table(cheap, dear)):
        assert said.priced([fixed, own], NOW) == (fixed, replace(own, price=Price(7, 7, 0)))
    stale = replace(dear, updated=NOW - STATUS_FRESH_MS - 1)
    assert table(stale, cheap).priced([own], NOW)[0].price == Price(5, 5, 0)


def test_a_price_to_come_holds_from_its_moment_on() -> None:
    pool = Pool("b", "openai", "m", price=Price(1), later=((NOW, Price(2)), (NOW + 5, Price(3))))
    assert PoolTable().priced([pool], NOW - 1) == (pool,)
    assert pool.at(NOW) == replace(pool, price=Price(2), later=((NOW + 5, Price(3)),))
    assert pool.at(NOW + 9).price == Price(3)


def test_the_own_count_comes_first_and_a_fuller_server_counts() -> None:
    """Others may use the server too: its cache and its queue say what our own calls do not."""
    busy = replace(UP, server_running=9, server_waiting=0, cache_usage=0.75, server_seen=NOW - 1_000)
    assert table(busy).health("a", NOW).load == 0.75
    assert table(replace(busy, in_flight=9)).health("a", NOW).load == 0.9
    assert table(replace(busy, server_waiting=1)).health("a", NOW).load == 1.0
    assert table(busy, replace(UP, replica="r2")).health("a", NOW).load == 0.375


def test_old_words_of_a_server_do_not_count() -> None:
    stale = replace(UP, server_running=9, server_waiting=5, cache_usage=1.0, server_seen=NOW - SERVER_FRESH_MS - 1)
    assert table(stale).health("a", NOW).load == 0.2


def test_a_server_that_must_be_woken_is_asked_last() -> None:
    assert table(replace(UP, asleep=True)).health("a", NOW).load == 1.0
