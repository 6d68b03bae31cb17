from __future__ import annotations

from dataclasses import replace

from aiosv3.router.pools import Pool, PoolTable
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.file import parse_routing
from aiosv3.router.routing.outlook import Outlook
from aiosv3.router.routing.versions import pools_of, routing_version
from aiosv3.schemas.headers import Clearance, Grant
from aiosv3.schemas.records import PoolState, PoolStatus

NOW = 1_750_000_000_000
POOL = Pool("own", "vllm", "m", Clearance.INTERNAL)
UP = PoolStatus("own", "r1", PoolState.UP, "vllm", "m", "internal", 2, 10, 120, 0, None, NOW)
LOWER = routing_version(parse_routing("pools: {own: {clearance: public}}")[0], NOW)


def test_one_view_serves_many_decisions() -> None:
    outlook = Outlook([POOL], PoolTable())
    assert outlook.at(NOW) is outlook.at(NOW + 1)


def test_news_of_a_pool_counts_at_once_and_time_a_moment_later() -> None:
    table = PoolTable()
    outlook = Outlook([POOL], table)
    assert not outlook.at(NOW).health["own"].known
    table.apply(replace(UP, retry_after=NOW + 10_000))
    assert outlook.at(NOW).health["own"].down is not None
    assert outlook.at(NOW + 10_250).health["own"].down is None


def test_a_policy_counts_at_once() -> None:
    book = PolicyBook()
    outlook = Outlook([POOL], PoolTable(), book)
    grant = Grant("t", "r", Clearance.INTERNAL)
    assert outlook.at(NOW).pools[0].clearance is Clearance.INTERNAL
    assert outlook.may_see("own", grant)
    book.apply(LOWER)
    assert outlook.at(NOW).pools[0].clearance is Clearance.PUBLIC
    assert outlook.at(NOW).policy.version == LOWER.version
    assert not outlook.may_see("own", grant)
    assert not outlook.may_see("another", grant)


def test_the_table_that_is_recorded_is_as_configured() -> None:
    """A policy's additions are in the policy: its version says them."""
    book = PolicyBook()
    book.apply(LOWER)
    outlook = Outlook([POOL], PoolTable(), book)
    assert pools_of(outlook.record(NOW)) == (POOL,)
    assert outlook.record(NOW).version == outlook.pools_version
