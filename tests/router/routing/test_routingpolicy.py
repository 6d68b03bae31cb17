from __future__ import annotations

from aiosv3.router.pools import Pool
from aiosv3.router.routing.routingpolicy import BUILT_IN, Addition, RoutingPolicy, TenantPolicy
from aiosv3.schemas.headers import Clearance

POOL = Pool("p", "openai", "m", Clearance.INTERNAL, region="us", data_terms=frozenset({"no_training"}), quality=0.5)


def test_an_addition_fills_in_and_narrows() -> None:
    open_pool = Pool("p", "openai", "m", Clearance.INTERNAL)
    added = Addition("eu", frozenset({"zero_retention"}), Clearance.PUBLIC, 0.9)
    got = RoutingPolicy(additions={"p": added}).pool(open_pool)
    assert (got.region, got.data_terms, got.clearance, got.quality) == (
        "eu",
        frozenset({"zero_retention"}),
        Clearance.PUBLIC,
        0.9,
    )


def test_it_never_widens_a_clearance_nor_moves_a_pool() -> None:
    added = Addition(region="eu", clearance=Clearance.RESTRICTED)
    got = RoutingPolicy(additions={"p": added}).pool(POOL)
    assert (got.region, got.clearance) == ("us", Clearance.INTERNAL)


def test_what_it_says_of_tenants() -> None:
    policy = RoutingPolicy(tenants={"acme": TenantPolicy(Clearance.CONFIDENTIAL, 3.0)})
    assert (policy.default_clearance("acme"), policy.weight("acme")) == (Clearance.CONFIDENTIAL, 3.0)
    assert (policy.default_clearance("other"), policy.weight("other")) == (None, 1.0)


def test_a_pool_can_be_taken_out_of_use() -> None:
    policy = RoutingPolicy(additions={"p": Addition(enabled=False)})
    assert policy.disabled("p")
    assert not policy.disabled("q")


def test_the_built_in_one_changes_nothing() -> None:
    assert BUILT_IN.pools([POOL]) == (POOL,)
    assert BUILT_IN.pool(POOL) is POOL
