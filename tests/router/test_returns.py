from __future__ import annotations

from aiosv3.router.pools import PoolTable
from aiosv3.router.returns import Returns
from aiosv3.schemas.records import PoolState, PoolStatus

NOW = 1_000_000
UP = PoolStatus("a", "r1", PoolState.UP, "openai", "m", "public", 2, 10, 120, 0, None, NOW)


def sent(returns: Returns, went: int, came: int, now: int = NOW) -> Returns:
    for _ in range(went):
        returns.went("a", now)
    for _ in range(came):
        returns.came_back("a", now)
    return returns


def test_a_pool_whose_requests_mostly_come_back_is_in_doubt() -> None:
    assert sent(Returns(), 10, 5).doubtful("a", NOW)
    assert not sent(Returns(), 20, 5).doubtful("a", NOW)
    assert not sent(Returns(), 9, 9).doubtful("a", NOW), "too few to say"
    assert not Returns().doubtful("a", NOW)


def test_it_is_forgotten_after_half_a_minute() -> None:
    returns = sent(Returns(), 10, 10)
    assert returns.doubtful("a", NOW + 14_999)
    assert returns.doubtful("a", NOW + 15_000), "those before count for a window more"
    assert not returns.doubtful("a", NOW + 30_001)
    assert not sent(Returns(), 10, 10).doubtful("a", NOW + 60_000)


def test_one_that_says_that_it_is_up_is_then_asked_last() -> None:
    table = PoolTable()
    table.apply(UP)
    assert not table.health("a", NOW).degraded
    sent(table.returns, 12, 12)
    health = table.health("a", NOW)
    assert (health.degraded, health.down) == (True, None)
