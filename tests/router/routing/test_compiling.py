from __future__ import annotations

import pytest

from aiosv3.router.pools import Pool
from aiosv3.router.routing.compiling import check_pools, compiled
from aiosv3.router.routing.errors import RoutingFileError
from aiosv3.router.routing.file import parse_routing
from aiosv3.router.routing.routingpolicy import Addition, RoutingPolicy
from aiosv3.router.routing.rules import Weights
from aiosv3.schemas.headers import Clearance, Grant, Route

WHOLE = """
classes:
  internal: {terms: no_training}
  confidential: {regions: [eu]}
tenants:
  acme: {default_class: confidential, regions: [eu-west], weight: 3}
pools:
  own: {region: eu, data_terms: [no_training], clearance: internal, quality: 0.8, enabled: false}
weights: {quality: 1.0}
rules:
  - name: everything
    match:
      agent: triage
      workflow: [desk]
      type: shop.ticket
      tenant: acme
      label: batch
      data_class: [internal, restricted]
      complexity: [0, 0.5]
    pools: [own]
    models: [llama]
    not_pools: [cloud]
    not_models: [gpt]
    weights: {cost: 0.9}
    max_usd: 0.02
    latency_ms: 700
    shares: [{name: half, percent: 50, pools: own}]
    last: true
"""
POOLS = [Pool("own", "vllm", "llama"), Pool("cloud", "openai", "gpt", region="us")]


def policy(text: str = WHOLE) -> RoutingPolicy:
    return compiled(parse_routing(text)[0])


def test_everything_in_the_file_is_in_the_policy() -> None:
    made = policy()
    demand = made.privacy.demand(Grant("acme", "r", Clearance.RESTRICTED))
    assert (set(demand.regions), demand.terms) == (
        {frozenset({"eu"}), frozenset({"eu-west"})},
        frozenset({"no_training"}),
    )
    assert made.tenants["acme"].weight == 3
    assert made.default_clearance("acme") is Clearance.CONFIDENTIAL
    assert made.additions["own"] == Addition("eu", frozenset({"no_training"}), Clearance.INTERNAL, 0.8, enabled=False)
    assert made.weights == Weights(quality=1.0)
    grant = Grant("acme", "r", Clearance.INTERNAL, workflow="desk", type="shop.ticket", label="batch")
    said = made.directive(grant, Route("triage", 0.5, 1, 1))
    assert said.rules[0].startswith("everything")
    assert (said.pools, said.models) == (frozenset({"own"}), frozenset({"llama"}))
    assert (said.not_pools, said.not_models) == (frozenset({"cloud"}), frozenset({"gpt"}))
    assert (said.max_usd_micros, said.latency_ms, said.weights) == (20_000, 700, Weights(cost=0.9))
    assert made.rules[0].effect.shares[0].parts == 5_000
    assert made.rules[0].last


def test_a_class_that_asks_nothing_asks_nothing() -> None:
    assert policy("").privacy.demand(Grant("t", "r", Clearance.RESTRICTED)).regions == ()


def checked(text: str) -> str:
    file, marked = parse_routing(text)
    with pytest.raises(RoutingFileError) as raised:
        check_pools(file, marked, POOLS)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pools:\n  owm: {}", "routing.yaml:2: there is no pool 'owm'; did you mean own?"),
        ("rules:\n  - name: r\n    pools: [zzz]", "routing.yaml:3: there is no pool 'zzz'; there is cloud, own"),
        ("rules:\n  - name: r\n    not_models: [llame]", "routing.yaml:3: there is no model 'llame'; did you mean"),
        (
            "rules:\n  - name: r\n    shares:\n      - {name: a, percent: 5, pools: q}",
            "routing.yaml:4: there is no pool",
        ),
        ("pools:\n  cloud:\n    region: eu", "routing.yaml:3: pools.cloud.region: its settings in aiosv3.toml say us"),
    ],
)
def test_what_does_not_fit_the_pools(text: str, said: str) -> None:
    assert checked(text).startswith(said)


def test_what_fits() -> None:
    file, marked = parse_routing(WHOLE)
    check_pools(file, marked, POOLS)
