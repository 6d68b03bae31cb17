from __future__ import annotations

from dataclasses import replace

import pytest

from aiosv3.router.routing.rules import NO_RULES, Effect, Match, Rule, Weights, directive
from aiosv3.router.routing.shares import Share
from aiosv3.schemas.headers import Clearance, Grant, Route

GRANT = Grant("acme", "root", Clearance.INTERNAL, workflow="desk", type="shop.ticket", label="batch")
ROUTE = Route("triage", 0.4, 10, 10)


def only(name: str) -> frozenset[str]:
    return frozenset({name})


@pytest.mark.parametrize(
    ("fits", "does_not"),
    [
        (Match(agents=only("triage")), Match(agents=only("desk"))),
        (Match(workflows=only("desk")), Match(workflows=only("triage"))),
        (Match(types=only("shop.ticket")), Match(types=only("shop.order"))),
        (Match(tenants=only("acme")), Match(tenants=only("other"))),
        (Match(labels=only("batch")), Match(labels=only("fast"))),
        (Match(classes=frozenset({1, 2})), Match(classes=frozenset({0}))),
        (Match(complexity=(0.4, 0.4)), Match(complexity=(0.41, 1.0))),
    ],
)
def test_what_a_rule_can_match(fits: Match, does_not: Match) -> None:
    assert Rule("r", fits, Effect()).matches(GRANT, ROUTE)
    assert not Rule("r", does_not, Effect()).matches(GRANT, ROUTE)


def test_all_that_is_named_has_to_fit_and_nothing_named_is_everybody() -> None:
    assert Rule("r", Match(), Effect()).matches(GRANT, ROUTE)
    assert not Rule("r", Match(agents=only("triage"), tenants=only("other")), Effect()).matches(GRANT, ROUTE)


def test_unknown_complexity_is_in_the_middle() -> None:
    unknown = replace(ROUTE, complexity="auto")
    assert Rule("r", Match(complexity=(0.5, 0.5)), Effect()).matches(GRANT, unknown)


def test_what_narrows_adds_up_and_of_values_the_last_one_counts() -> None:
    rules = (
        Rule("a", Match(), Effect(pools=frozenset({"x", "y"}), not_pools=only("y"), max_usd_micros=5, latency_ms=9)),
        Rule("b", Match(), Effect(pools=frozenset({"y", "z"}), not_models=only("m"), max_usd_micros=7, latency_ms=3)),
        Rule("c", Match(), Effect(weights=Weights(quality=1.0))),
    )
    said = directive(rules, GRANT, ROUTE)
    assert said.rules == ("a", "b", "c")
    assert said.pools == only("y")
    assert (said.not_pools, said.not_models) == (only("y"), only("m"))
    assert (said.max_usd_micros, said.latency_ms) == (5, 3)
    assert said.weights == Weights(quality=1.0)


def test_after_the_last_one_nothing_is_asked() -> None:
    rules = (Rule("a", Match(), Effect(), last=True), Rule("b", Match(), Effect(pools=only("x"))))
    assert directive(rules, GRANT, ROUTE).rules == ("a",)


def test_no_match_is_nothing_said() -> None:
    assert directive((Rule("a", Match(agents=only("x")), Effect()),), GRANT, ROUTE) is NO_RULES


def test_a_share_is_named_and_preferred() -> None:
    all_trees = Effect(shares=(Share("canary", 10_000, only("new")),))
    said = directive((Rule("a", Match(), all_trees),), GRANT, ROUTE)
    assert (said.rules, said.preferred) == (("a: canary",), only("new"))


def test_why_a_pool_is_left_out() -> None:
    said = replace(NO_RULES, pools=only("x"), not_models=only("m"))
    assert said.excludes("x", "n") is None
    assert said.excludes("y", "n") == "policy: the rules allow x only"
    assert said.excludes("x", "m") == "policy: the rules leave it out"
    assert "contradict" in (replace(NO_RULES, pools=frozenset()).excludes("x", "n") or "")
