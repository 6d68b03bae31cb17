from __future__ import annotations

import pytest

from aiosv3.router.pools import Pool
from aiosv3.router.routing.privacy import NOTHING, Demand, Privacy, cumulative, demand_of, lies_in
from aiosv3.schemas.headers import Clearance, Grant

EU = demand_of(("eu",), ())
PROMISED = demand_of((), ("no_training",))
POOL = Pool("p", "openai", "m", Clearance.RESTRICTED, region="eu-west-1", data_terms=frozenset({"no_training"}))


@pytest.mark.parametrize(
    ("place", "region", "inside"),
    [
        ("eu", "eu", True),
        ("eu-west-1", "eu", True),
        ("eu-west-1", "eu-west", True),
        ("europe", "eu", False),
        ("eu", "eu-west", False),
        ("", "eu", False),
    ],
)
def test_a_region_holds_what_is_named_after_it(place: str, region: str, inside: bool) -> None:
    assert lies_in(place, region) is inside


def test_a_pool_that_does_not_say_where_it_is_gets_nothing_that_must_stay_somewhere() -> None:
    words = EU.unmet(Pool("p", "openai", "m"))
    assert words is not None
    assert "does not say where" in words


def test_all_that_is_asked_has_to_be_met() -> None:
    assert (EU & PROMISED).unmet(POOL) is None
    assert (EU & demand_of(("us",), ())).unmet(POOL) is not None, "of each set, one region"
    missing = demand_of((), ("no_training", "zero_retention")).unmet(POOL)
    assert missing is not None
    assert "zero_retention" in missing
    assert "no_training" not in missing


def test_a_higher_class_asks_what_a_lower_one_asks() -> None:
    demands = cumulative({Clearance.INTERNAL: PROMISED, Clearance.CONFIDENTIAL: EU})
    assert demands == (NOTHING, PROMISED, PROMISED & EU, PROMISED & EU)


def test_class_tenant_and_task_add_up() -> None:
    privacy = Privacy(cumulative({Clearance.CONFIDENTIAL: EU}), {"acme": PROMISED})
    asked = privacy.demand(Grant("acme", "r", Clearance.RESTRICTED, terms=("zero_retention",)))
    assert asked == Demand((frozenset({"eu"}),), frozenset({"no_training", "zero_retention"}))
    assert privacy.demand(Grant("other", "r", Clearance.PUBLIC)) is NOTHING


def test_the_class_comes_first() -> None:
    pool = Pool("p", "openai", "m", Clearance.PUBLIC)
    words = Privacy(cumulative({Clearance.PUBLIC: EU})).denied(Grant("t", "r", Clearance.INTERNAL), pool)
    assert words == "clearance: the data is internal, the pool may see up to public"
