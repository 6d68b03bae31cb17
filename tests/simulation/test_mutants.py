"""Every mutant still fits its source, every rule has one or a reason, and the quickest are found."""

from __future__ import annotations

import re

import pytest
from mutants import ROOT, find_apart, sources_of
from mutations import ELSEWHERE, MUTANTS, Mutant
from simulate import module_of

RULES = range(1, 29)
QUICK = (
    "steps_are_named_by_address",
    "a_pool_below_the_class",
    "what_does_not_fit_is_forwarded",
    "what_was_forgotten_comes_back",
    "a_T_that_forgets_the_open",
)
SOON = 60
"""Where a seed leads changes with the code; these are found by one in ten or more."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_its_source(mutant: Mutant) -> None:
    for file, text in sources_of(mutant).items():
        assert text != (ROOT / file).read_text(encoding="utf-8")
        compile(text, file, "exec")


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_every_rule_of_the_protocol_is_broken_by_a_mutant() -> None:
    assert {rule for mutant in MUTANTS for rule in mutant.rules} == {*RULES}


def test_a_rule_whose_mutants_only_tests_find_says_why() -> None:
    simulated = {rule for mutant in MUTANTS for rule in mutant.rules if not mutant.tests}
    assert {*RULES} - simulated == ELSEWHERE.keys()


def test_tests_that_look_for_a_mutant_are_there() -> None:
    assert [name for mutant in MUTANTS for name in mutant.tests if not (ROOT / name).is_file()] == []


def promises() -> list[str]:
    """The bold beginnings of what the page promises."""
    page = " ".join((ROOT / "docs/guarantees.md").read_text(encoding="utf-8").split())
    return re.findall(r"\*\*(.+?)\*\*", page.partition("## Promised")[2].partition("## Not promised")[0])


def test_every_promise_is_broken_by_a_mutant() -> None:
    named = {mutant.promise for mutant in MUTANTS if mutant.promise}
    assert [promise for promise in promises() if not promise.startswith(tuple(named))] == []
    assert [name for name in named if not any(promise.startswith(name) for promise in promises())] == []


@pytest.mark.parametrize("name", QUICK)
def test_the_quickest_are_found(name: str) -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    finding = find_apart(mutant, 0, SOON)
    assert finding.seed is not None
    assert finding.invariant


@pytest.mark.parametrize("name", ["a_pool_below_the_class", "what_does_not_fit_is_forwarded"])
def test_a_failure_of_the_code_is_shrunk_and_replays(name: str) -> None:
    """The least of the seed breaks the same invariant, in the same way each time; these need no fault and few tasks."""
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    finding = find_apart(mutant, 0, SOON, shrink=True)
    run = module_of(mutant.run)
    assert f"--seed {finding.seed} " in finding.least
    assert len(_numbers("faults", finding.least)) == len(run.faults_of(finding.seed or 0).kinds()) > 0
    assert run.TASKS - 4 <= len(_numbers("tasks", finding.least)) < run.TASKS


def _numbers(of: str, command: str) -> list[str]:
    found = re.search(rf"--without-{of} (\S+)", command)
    return found[1].split(",") if found else []


def test_a_mutant_without_its_text_is_none() -> None:
    nowhere = Mutant("nowhere", "router/aiosv3/router/router.py", "no such text", "")
    with pytest.raises(ValueError, match="0 times"):
        sources_of(nowhere)
