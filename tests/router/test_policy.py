from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.router.policy import ASSUMED, MAX_ATTEMPTS, Choice, choose
from aiosv3.router.pools import Health, Pool, Price
from aiosv3.router.routing.compiling import compiled
from aiosv3.router.routing.file import parse_routing
from aiosv3.schemas.headers import Clearance, Grant, Route

GRANT = Grant("t", "root", Clearance.PUBLIC, usd_micros=1_000_000)
ROUTE = Route("a", 0.2, tokens=1_000, max_tokens=500)
WELL = Health(known=True)
CHEAP = Pool("cheap", "openai", "small", Clearance.PUBLIC, Price(100_000, 400_000), quality=0.3)
GOOD = Pool("good", "openai", "large", Clearance.PUBLIC, Price(3_000_000, 15_000_000), quality=0.9)
OWN = Pool("own", "vllm", "llama", Clearance.RESTRICTED, Price(), quality=0.5, capabilities=frozenset())
POOLS = [CHEAP, GOOD, OWN]


def decide(grant: Grant = GRANT, route: Route = ROUTE, pools: list[Pool] | None = None, **health: Health) -> str | None:
    chosen = pools if pools is not None else POOLS
    known = {pool.name: health.get(pool.name, WELL) for pool in chosen}
    choice = choose(grant, route, chosen, known)
    return choice.pool.name if choice.pool is not None else None


def refusal(
    grant: Grant = GRANT, route: Route = ROUTE, pools: list[Pool] | None = None, **health: Health
) -> tuple[str, str]:
    chosen = pools if pools is not None else POOLS
    choice = choose(grant, route, chosen, {pool.name: health.get(pool.name, WELL) for pool in chosen})
    assert choice.pool is None
    assert choice.error is not None
    return choice.error.type, choice.error.message


def test_an_easy_question_goes_to_the_cheap_pool_and_a_hard_one_to_the_good_pool() -> None:
    assert decide(pools=[CHEAP, GOOD]) == "cheap"
    assert decide(route=replace(ROUTE, complexity=0.95), pools=[CHEAP, GOOD]) == "good"


@pytest.mark.parametrize("clearance", [Clearance.INTERNAL, Clearance.CONFIDENTIAL, Clearance.RESTRICTED])
def test_private_data_goes_to_a_cleared_pool_only(clearance: Clearance) -> None:
    assert decide(replace(GRANT, clearance=clearance)) == "own"


def test_without_a_cleared_pool_it_is_refused_not_downgraded() -> None:
    kind, words = refusal(replace(GRANT, clearance=Clearance.CONFIDENTIAL), pools=[CHEAP, GOOD])
    assert kind == "ClearanceDenied"
    assert "confidential" in words
    assert "public" in words


def test_a_class_that_was_raised_says_for_what() -> None:
    found = replace(ROUTE, found=("card",))
    kind, words = refusal(replace(GRANT, clearance=Clearance.CONFIDENTIAL), found, pools=[CHEAP, GOOD])
    assert kind == "ClearanceDenied"
    assert words.startswith("the class was raised for what the prompt holds (card); cheap: clearance: ")


def test_a_cleared_pool_that_is_down_is_no_reason_to_use_another() -> None:
    kind, words = refusal(replace(GRANT, clearance=Clearance.RESTRICTED), own=Health(known=True, down="500"))
    assert kind == "ModelUnavailable"
    assert "clearance" in words


def test_cost_limits_of_call_and_tree() -> None:
    assert refusal(route=replace(ROUTE, usd_micros=100), pools=[CHEAP, GOOD])[0] == "BudgetExceeded"
    assert refusal(replace(GRANT, usd_micros=100), pools=[CHEAP, GOOD])[0] == "BudgetExceeded"
    assert decide(route=replace(ROUTE, usd_micros=300, complexity=1.0), pools=[CHEAP, GOOD]) == "cheap"


def test_a_price_that_nobody_knows_is_said_wherever_it_counts() -> None:
    guessed = replace(GOOD, priced=False)
    choice = choose(GRANT, ROUTE, [guessed], {"good": WELL})
    assert [one.reason for one in choice.candidates] == [ASSUMED]
    kind, words = refusal(replace(GRANT, usd_micros=5_000), pools=[guessed])
    assert kind == "BudgetExceeded"
    assert "cost: about 0.010500 USD by an assumed price, the limit is 0.005000" in words
    assert "assumed" not in refusal(replace(GRANT, usd_micros=5_000), pools=[GOOD])[1]
    assert decide(replace(GRANT, usd_micros=0), pools=[OWN]) == "own", "what is free needs no money"


def test_pins_capabilities_and_context_window() -> None:
    assert decide(route=replace(ROUTE, pool="good")) == "good"
    assert decide(route=replace(ROUTE, model="llama")) == "own"
    assert decide(route=replace(ROUTE, needs=("json",)), pools=[OWN, GOOD]) == "good"
    long = replace(ROUTE, tokens=200_000)
    assert refusal(route=long)[1].count("context") == len(POOLS)


def test_health_and_fallback() -> None:
    assert decide(cheap=Health(known=True, down="429"), pools=[CHEAP, GOOD]) == "good"
    again = replace(ROUTE, attempt=2, tried=("cheap",))
    assert decide(route=again, pools=[CHEAP, GOOD]) == "good"


def test_after_all_were_tried_it_goes_round_again_and_ends() -> None:
    second = replace(ROUTE, attempt=3, tried=("cheap", "good"))
    assert decide(route=second, pools=[CHEAP, GOOD]) == "cheap"
    last = replace(ROUTE, attempt=MAX_ATTEMPTS + 1, tried=("cheap", "good") * 3)
    kind, words = refusal(route=last, pools=[CHEAP, GOOD])
    assert kind == "ModelUnavailable"
    assert "cheap, good" in words


def test_a_full_or_slow_pool_loses_to_an_equal_one() -> None:
    twin = replace(CHEAP, name="twin")
    assert decide(pools=[CHEAP, twin], cheap=Health(known=True, load=1.0)) == "twin"
    hurry = replace(ROUTE, latency_ms=100)
    assert decide(route=hurry, pools=[CHEAP, twin], cheap=Health(known=True, latency_ms=5_000)) == "twin"
    assert decide(pools=[CHEAP, twin], cheap=Health(known=True, degraded=True)) == "twin"


def by(text: str, grant: Grant = GRANT, route: Route = ROUTE, **health: Health) -> Choice:
    policy = compiled(parse_routing(text)[0])
    known = {pool.name: health.get(pool.name, WELL) for pool in POOLS}
    return choose(grant, route, policy.pools(POOLS), known, policy)


def went(choice: Choice) -> str | None:
    return None if choice.pool is None else choice.pool.name


def test_rules_narrow_where_a_request_may_go() -> None:
    hard = replace(ROUTE, complexity=0.95)
    assert went(by("", route=hard)) == "good"
    assert went(by("rules: [{name: r, not_pools: good}]", route=hard)) == "own"
    assert went(by("rules: [{name: r, pools: cheap}]", route=hard)) == "cheap"
    assert went(by("rules: [{name: r, models: small}]", route=hard)) == "cheap"
    assert went(by("rules: [{name: r, max_usd: 0.001}]", route=hard)) == "own"
    assert went(by("pools: {good: {enabled: false}}", route=hard)) == "own"
    assert by("rules: [{name: r, pools: cheap}]").rules == ("r",)


def test_weights_of_a_rule_are_the_scores() -> None:
    only_quality = "rules: [{name: r, weights: {cost: 0.0}}]"
    assert went(by(only_quality, route=replace(ROUTE, complexity=0.6))) == "good"
    only_cost = "weights: {quality: 0.0}"
    assert went(by(only_cost, route=replace(ROUTE, complexity=1.0))) == "own"


def test_a_region_and_terms_are_asked_before_anything_else() -> None:
    text = "classes: {public: {regions: [eu], terms: [no_training]}}\npools: {good: {region: eu}, own: {region: us}}"
    choice = by(text)
    assert went(choice) is None
    assert choice.error is not None
    assert choice.error.type == "ClearanceDenied"
    assert [candidate.reason.partition(":")[0] for candidate in choice.candidates] == ["region", "data terms", "region"]


def test_a_share_is_served_by_its_pools_while_they_can() -> None:
    text = "rules: [{name: r, shares: [{name: canary, percent: 100, pools: [good]}]}]"
    assert (went(by(text)), by(text).rules) == ("good", ("r: canary",))
    assert went(by(text, good=Health(known=True, down="500"))) == "own", "a canary takes nothing down"
    again = by(text, route=replace(ROUTE, attempt=2, tried=("good",)))
    assert went(again) == "own"
    assert "none of its share" in again.reason


def test_an_overflow_goes_to_a_larger_window_only() -> None:
    small, large = replace(CHEAP, context_window=8_000), replace(GOOD, context_window=200_000)
    again = replace(ROUTE, attempt=2, tried=("cheap",), overflow=8_000)
    assert decide(route=again, pools=[small, large]) == "good"
    kind, words = refusal(route=replace(again, overflow=200_000), pools=[small, large])
    assert kind == "ModelRefused"
    assert "did not fit a window of 200000" in words


def test_a_latency_target_is_held_against_what_95_of_100_calls_keep() -> None:
    twin = replace(CHEAP, name="twin")
    target = "rules: [{name: r, latency_ms: 500}]"
    policy = compiled(parse_routing(target)[0])
    slow = Health(known=True, latency_ms=100, latency_p95_ms=4_000)
    known = {"cheap": slow, "twin": Health(known=True, latency_ms=300, latency_p95_ms=450)}
    assert went(choose(GRANT, ROUTE, [CHEAP, twin], known, policy)) == "twin"
    assert went(choose(GRANT, ROUTE, [CHEAP, twin], known)) == "cheap", "nobody asked for speed"


def test_a_conversation_stays_where_it_is_unless_that_costs_more() -> None:
    twin = replace(CHEAP, name="twin")
    known = {"cheap": WELL, "twin": Health(known=True, load=0.3)}
    assert went(choose(GRANT, ROUTE, [CHEAP, twin], known)) == "cheap"
    stays = choose(GRANT, ROUTE, [CHEAP, twin], known, sticky="twin")
    assert (went(stays), stays.sticky) == ("twin", "twin")
    full = {**known, "twin": Health(known=True, load=1.0)}
    assert went(choose(GRANT, ROUTE, [CHEAP, twin], full, sticky="twin")) == "cheap"


def test_the_health_that_was_seen_is_in_the_candidates() -> None:
    seen = Health(True, None, False, 0.25, 100, 300)
    first, second, _ = by("", cheap=seen, good=Health(known=False)).candidates
    assert (first.load, first.latency_ms, first.latency_p95_ms, first.degraded, first.down) == (
        0.25,
        100,
        300,
        False,
        None,
    )
    assert second.load is None


def test_a_decision_stays_small() -> None:
    """Calls are counted, since time is not the same twice: ten pools, ten rules, privacy asked. 50 µs are the limit."""
    rules = "".join(f"\n - {{name: r{number}, match: {{agent: b{number}}}, not_pools: p1}}" for number in range(10))
    policy = compiled(parse_routing(f"classes: {{public: {{regions: [eu]}}}}\nrules:{rules}")[0])
    ten = [replace(CHEAP, name=f"p{number}", region="eu") for number in range(10)]
    health = {pool.name: Health(True, latency_ms=200) for pool in ten}
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        choose(GRANT, ROUTE, ten, health, policy)
    finally:
        sys.setprofile(None)
    assert calls < 350


def test_no_pools_says_what_to_do() -> None:
    assert "aiosv3.toml" in refusal(pools=[])[1]


def test_every_candidate_has_a_reason_and_equal_inputs_an_equal_decision() -> None:
    known = {pool.name: WELL for pool in POOLS}
    choice = choose(replace(GRANT, clearance=Clearance.INTERNAL), ROUTE, POOLS, known)
    assert [candidate.pool for candidate in choice.candidates] == ["cheap", "good", "own"]
    assert all(candidate.reason for candidate in choice.candidates)
    assert [candidate.eligible for candidate in choice.candidates] == [False, False, True]
    assert choice == choose(replace(GRANT, clearance=Clearance.INTERNAL), ROUTE, POOLS, known)


pools = st.lists(
    st.builds(
        Pool,
        name=st.sampled_from("abcdef"),
        kind=st.just("openai"),
        model=st.sampled_from(["m", "n"]),
        clearance=st.sampled_from(Clearance),
        price=st.builds(Price, st.integers(0, 10**8), st.integers(0, 10**8)),
        context_window=st.integers(0, 10_000),
        quality=st.floats(0, 1),
    ),
    unique_by=lambda pool: pool.name,
    max_size=6,
)
healths = st.builds(
    Health,
    st.booleans(),
    st.none() | st.just("down"),
    st.booleans(),
    st.floats(0, 1),
    st.none() | st.integers(0, 10**6),
)


@given(
    st.sampled_from(Clearance),
    pools,
    st.lists(healths, min_size=6, max_size=6),
    st.floats(0, 1),
    st.lists(st.sampled_from("abcdef"), max_size=8),
    st.none() | st.sampled_from("abcdef"),
)
def test_no_sequence_of_failures_sends_a_prompt_below_its_class(
    clearance: Clearance,
    given_pools: list[Pool],
    states: list[Health],
    complexity: float,
    tried: list[str],
    pin: str | None,
) -> None:
    """Fail closed over the whole fallback chain: each attempt's choice is cleared, whatever was tried before."""
    health = {pool.name: state for pool, state in zip(given_pools, states, strict=False)}
    grant = replace(GRANT, clearance=clearance, usd_micros=None)
    route = replace(ROUTE, complexity=complexity, pool=pin)
    for attempt in range(1, MAX_ATTEMPTS + 3):
        choice = choose(grant, replace(route, attempt=attempt, tried=tuple(tried)), given_pools, health)
        if choice.pool is None:
            assert choice.error is not None
            return
        assert choice.pool.clearance >= clearance
        tried.append(choice.pool.name)
    raise AssertionError("the chain of attempts never ended")
