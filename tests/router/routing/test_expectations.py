from __future__ import annotations

import pytest

from aiosv3.router.pools import Pool
from aiosv3.router.routing.compiling import compiled
from aiosv3.router.routing.errors import RoutingFileError
from aiosv3.router.routing.expectations import Outcome, parse_expectations, run_case, unknown_pools
from aiosv3.router.routing.file import parse_routing
from aiosv3.schemas.headers import Clearance

POOLS = [Pool("own", "vllm", "m", Clearance.RESTRICTED, region="eu"), Pool("cloud", "openai", "g", quality=0.9)]
POLICY = compiled(parse_routing("tenants: {acme: {default_class: confidential}}\nrules: [{name: all}]")[0])


def run(case: str) -> Outcome:
    file, marked = parse_expectations("cases:\n" + case, "t.yaml")
    unknown_pools(file, marked, POOLS)
    return run_case(file.cases[0], marked.line(("cases", 0)), POLICY, POOLS, Clearance.PUBLIC)


@pytest.mark.parametrize(
    "case",
    [
        "- {name: c, request: {complexity: 0.9}, expect: {pool: cloud}}",
        "- {name: c, request: {tenant: acme, complexity: 0.9}, expect: {pool: own, rules: all}}",
        "- {name: c, request: {data_class: internal}, expect: {pool: [own, cloud], not_pool: cloud}}",
        "- {name: c, request: {regions: [us]}, expect: {refused: ClearanceDenied}}",
        "- {name: c, request: {complexity: 0.9}, health: {cloud: {down: gone}}, expect: {pool: own}}",
        "- {name: c, request: {complexity: 0.9, tried: cloud}, expect: {pool: own}}",
        "- {name: c, request: {needs: vision}, expect: {refused: ModelUnavailable}}",
    ],
)
def test_what_holds(case: str) -> None:
    assert run(case).wrong == ()


@pytest.mark.parametrize(
    ("case", "expected", "came"),
    [
        ("- {name: c, expect: {pool: cloud}, request: {data_class: restricted}}", "- pool cloud", "+ pool own: best"),
        ("- {name: c, expect: {not_pool: own}, request: {tenant: acme}}", "- not pool own", "+ pool own: best"),
        ("- {name: c, expect: {refused: BudgetExceeded}}", "- refused BudgetExceeded", "+ pool "),
        (
            "- {name: c, request: {pool: x}, expect: {pool: own}}",
            "- pool own",
            "+ refused ModelUnavailable: no eligible",
        ),
        ("- {name: c, expect: {rules: [other]}}", "- rules other", "+ rules all"),
    ],
)
def test_what_does_not_hold_shows_what_came_instead(case: str, expected: str, came: str) -> None:
    outcome = run(case)
    assert outcome.line == 2
    assert outcome.wrong[0] == expected
    assert outcome.wrong[1].startswith(came)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cases: []", "t.yaml:1: cases: List should have at least 1 item"),
        ("cases:\n- name: c\n  expect: {}", "t.yaml:3: cases.0.expect: say what must come out"),
        (
            "cases:\n- name: c\n  expect: {pol: x}",
            "t.yaml:3: cases.0.expect.pol: there is no such key; there are not_pool",
        ),
        ("cases:\n- name: c\n  expect: {pool: x, refused: y}", "t.yaml:3: cases.0.expect: it cannot both"),
        ("[]", "t.yaml:1: it must be a table"),
        ("cases:\n- name: c\n  expect: {pool: zzz}", "t.yaml:3: there is no pool 'zzz'; there is cloud, own"),
    ],
)
def test_a_table_that_could_not_be_meant(text: str, said: str) -> None:
    with pytest.raises(RoutingFileError) as raised:
        unknown_pools(*parse_expectations(text, "t.yaml"), POOLS)
    assert str(raised.value).startswith(said)


def test_every_case_draws_its_own_share() -> None:
    halves = "rules: [{name: r, shares: [{name: h, percent: 50, pools: own}]}]"
    policy = compiled(parse_routing(halves)[0])
    cases = "\n".join(
        f"- {{name: c{number}, request: {{complexity: 0.9}}, expect: {{pool: own}}}}" for number in range(40)
    )
    file, _ = parse_expectations("cases:\n" + cases, "t.yaml")
    held = [not run_case(case, 1, policy, POOLS, Clearance.PUBLIC).wrong for case in file.cases]
    assert 5 < sum(held) < 35
