from __future__ import annotations

import json

import pytest

from aiosv3.router.routing.errors import RoutingFileError
from aiosv3.router.routing.file import RoutingFile, micros, parse_routing, version_of


def faults(text: str) -> list[str]:
    with pytest.raises(RoutingFileError) as raised:
        parse_routing(text)
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules:\n  - name: a\n    pols: x", "routing.yaml:3: rules.0.pols: there is no such key; there are last,"),
        ("classes:\n  secret: {}", "routing.yaml:2: classes.secret: there is no such key; there are confidential,"),
        ("tenants:\n  a:\n    regions: [no]", "routing.yaml:3: tenants.a.regions.0: Input should be a valid string;"),
        ("rules:\n  - pools: x", "routing.yaml:2: rules.0.name: Field required"),
        ("version: 2", "routing.yaml:1: version: Input should be 1"),
        ("- a", "routing.yaml:1: it must be a table"),
        ("rules:\n  - name: a\n    match: {complexity: [0.7, 0.1]}", "routing.yaml:3: rules.0.match: complexity:"),
        ("rules:\n  - name: a\n    match: {class: public}", "routing.yaml:3: rules.0.match.class: there is no such"),
        ("rules: [{name: a}, {name: a}]", "routing.yaml:1: two rules have the name 'a'"),
        ("tenants: {a: {weight: 0}}", "routing.yaml:1: tenants.a.weight: Input should be greater than 0"),
    ],
)
def test_a_fault_has_its_line_and_says_what_would_be_right(text: str, said: str) -> None:
    assert faults(text)[0].startswith(said)


def test_shares_are_parts_of_a_whole() -> None:
    share = "{name: NAME, percent: 60, pools: p}"
    twice = f"rules: [{{name: r, shares: [{share.replace('NAME', 'a')}, {share.replace('NAME', 'b')}]}}]"
    assert "120 percent" in faults(twice)[0]


def test_all_faults_are_told_at_once() -> None:
    assert len(faults("a: 1\nb: 2\nversion: 3")) == 3


def test_one_name_needs_no_brackets() -> None:
    file, _ = parse_routing("rules: [{name: r, pools: own, match: {agent: triage}}]")
    assert file.rules[0].pools == ["own"]
    assert file.rules[0].match.agent == ["triage"]


def test_the_version_is_of_the_meaning_not_of_the_layout() -> None:
    one, _ = parse_routing("rules: [{name: r, pools: own}]")
    other, _ = parse_routing("# why\nrules:\n  - pools: [own]\n    name: r\nversion: 1\n")
    changed, _ = parse_routing("rules: [{name: r, pools: cloud}]")
    assert version_of(one.canonical()) == version_of(other.canonical())
    assert version_of(one.canonical()) != version_of(changed.canonical())


def test_the_canonical_text_reads_as_the_same_file() -> None:
    file, _ = parse_routing("classes: {confidential: {regions: [eu]}}\nrules: [{name: r, max_usd: 0.015}]")
    assert RoutingFile.model_validate(json.loads(file.canonical())) == file


def test_an_empty_file_is_a_policy() -> None:
    assert parse_routing("")[0] == RoutingFile()


def test_a_limit_is_never_more_than_was_written() -> None:
    assert micros(0.1) == 100_000
    assert micros(0.0000019) == 1
