from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosv3.router.policy import Choice, Wanted, decide
from aiosv3.router.pools import Health, Pool, Price
from aiosv3.router.routing.compiling import compiled
from aiosv3.router.routing.errors import UnusableVersion
from aiosv3.router.routing.file import parse_routing
from aiosv3.router.routing.redeciding import Recorded, differences, redecided, refused_by_ledger, was_chosen
from aiosv3.router.routing.versions import policy_of, pools_of, pools_version, routing_version
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import Clearance, Grant, Route
from aiosv3.schemas.records import Decision, DecisionOutcome, StepFailure
from aiosv3.schemas.store import SchemaStore

CODEC = Codec(SchemaStore())
POOLS = [
    Pool("cheap", "openai", "s", Clearance.INTERNAL, Price(100_000, 400_000), quality=0.3, region="us"),
    Pool("good", "openai", "l", Clearance.CONFIDENTIAL, Price(3_000_000, 15_000_000), quality=0.9, region="eu"),
    Pool("own", "vllm", "m", Clearance.RESTRICTED, quality=0.5, region="eu", context_window=4_000),
]
FILE = parse_routing(
    "classes: {confidential: {regions: [eu]}}\n"
    "pools: {own: {quality: 0.6}}\n"
    "rules:\n"
    "  - {name: canary, match: {agent: a}, shares: [{name: new, percent: 50, pools: own}]}\n"
    "  - {name: limit, match: {tenant: t}, max_usd: 0.01, latency_ms: 300}\n"
)[0]
POLICY = compiled(FILE)
GRANT = Grant("t", "root", Clearance.INTERNAL)
ROUTE = Route("a", 0.4, 1_000, 500)
WELL = {pool.name: Health(known=True) for pool in POOLS}


def record_of(choice: Choice) -> Decision:
    """As the router writes it, over the wire and back."""
    pool = choice.pool
    decision = Decision(
        *("t/1", "root", "t", 1, 7, 1, "h", 0, None),
        DecisionOutcome.REFUSED if pool is None else DecisionOutcome.ROUTED,
        None if pool is None else pool.name,
        None if pool is None else pool.model,
        choice.reason,
        choice.candidates,
        choice.policy_version,
        "1",
        reserved_usd_micros=choice.cost,
        error=choice.error,
        rules=choice.rules,
        sticky=choice.sticky,
        limit_usd_micros=choice.limit,
    )
    return CODEC.decode_as(Decision, CODEC.encode(decision))


def again(decision: Decision, grant: Grant = GRANT, route: Route = ROUTE) -> Choice:
    """From what is on the log alone: the pools have lost their prices, the policy is read from its record."""
    pools = pools_of(pools_version(POOLS, 0))
    policy = policy_of(routing_version(FILE, 0))
    return redecided(Recorded(decision, grant, route), policy, pools)


healths = st.builds(
    Health,
    st.just(True),
    st.none() | st.just("429"),
    st.booleans(),
    st.integers(0, 7).map(lambda busy: busy / 7),
    st.none() | st.integers(0, 5_000),
    st.none() | st.integers(0, 5_000),
) | st.just(Health(known=False))
routes = st.builds(
    Route,
    agent=st.sampled_from(["a", "b"]),
    complexity=st.just("auto") | st.floats(0, 1),
    tokens=st.integers(0, 6_000),
    max_tokens=st.integers(0, 2_000),
    latency_ms=st.none() | st.integers(1, 2_000),
    attempt=st.integers(1, 7),
    usd_micros=st.none() | st.integers(0, 50_000),
    tried=st.lists(st.sampled_from(["cheap", "good", "own"]), max_size=3).map(tuple),
    overflow=st.none() | st.just(4_000),
)
grants = st.builds(
    Grant,
    tenant=st.sampled_from(["t", "u"]),
    root=st.text("abcdef", min_size=1, max_size=4),
    clearance=st.sampled_from(Clearance),
)


@settings(deadline=None)
@given(grants, routes, st.tuples(healths, healths, healths), st.none() | st.sampled_from(["cheap", "own"]))
def test_every_decision_comes_out_again_bit_for_bit(
    grant: Grant, route: Route, states: tuple[Health, Health, Health], sticky: str | None
) -> None:
    health = {pool.name: state for pool, state in zip(POOLS, states, strict=True)}
    choice = decide(Wanted(grant, route, sticky), POLICY.pools(POOLS), health, POLICY)
    decision = record_of(choice)
    made = again(decision, grant, route)
    assert differences(decision, made) == []
    assert (made.pool and made.pool.name, made.reason, made.candidates) == (
        decision.pool,
        decision.reason,
        decision.candidates,
    )


def test_what_differs_is_named() -> None:
    decision = record_of(decide(Wanted(GRANT, ROUTE), POLICY.pools(POOLS), WELL, POLICY))
    assert differences(decision, again(decision)) == []
    forged = replace(decision, pool="cheap", reason="so there")
    assert [one.field for one in differences(forged, again(forged))] == ["pool", "reason"]
    colder = replace(decision.candidates[0], score=0.1)
    forged = replace(decision, candidates=(colder, *decision.candidates[1:]))
    assert [one.field for one in differences(forged, again(forged))] == ["candidates.cheap"]


def test_another_policy_may_decide_otherwise() -> None:
    decision = record_of(decide(Wanted(GRANT, ROUTE), POLICY.pools(POOLS), WELL, POLICY))
    stricter = compiled(parse_routing("rules: [{name: r, pools: good}]")[0])
    choice = redecided(Recorded(decision, GRANT, ROUTE), stricter, POOLS)
    assert choice.pool is not None
    assert choice.pool.name == "good"


def test_what_only_the_ledger_knew_is_not_held_against_it() -> None:
    choice = decide(Wanted(GRANT, ROUTE), POLICY.pools(POOLS), WELL, POLICY)
    short = StepFailure("BudgetExceeded", "the tree has 0 USD left", retryable=False)
    refused = record_of(replace(choice, pool=None, reason="short", cost=0, error=short))
    assert refused_by_ledger(refused)
    assert differences(refused, again(refused)) == []


def test_a_limit_that_the_ledger_set_is_in_the_record() -> None:
    """What was left of the budget decided for a cheaper pool: the request's own header did not say it."""
    limited = replace(ROUTE, usd_micros=1_000)
    decision = record_of(decide(Wanted(GRANT, limited), POLICY.pools(POOLS), WELL, POLICY))
    assert differences(decision, again(decision, GRANT, ROUTE)) == []


def test_what_was_no_choice() -> None:
    cancelled = record_of(Choice(None, "its tree was cancelled", ()))
    assert not was_chosen(cancelled)
    with pytest.raises(UnusableVersion, match="cheap"):
        again(cancelled)
