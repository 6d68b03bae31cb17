from __future__ import annotations

from dataclasses import replace

import pytest

from aiosv3.router.pools import Pool
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.errors import UnusableVersion
from aiosv3.router.routing.file import parse_routing
from aiosv3.router.routing.routingpolicy import BUILT_IN
from aiosv3.router.routing.versions import pools_version, routing_version

FIRST = routing_version(parse_routing("tenants: {a: {weight: 2}}")[0], 1)
SECOND = routing_version(parse_routing("tenants: {a: {weight: 3}}")[0], 2)
BAD = replace(SECOND, content="{}")


def test_the_newest_counts_and_the_others_stay_known() -> None:
    book = PolicyBook()
    assert book.current is BUILT_IN
    book.apply(FIRST)
    book.apply(SECOND)
    assert (book.current.version, book.weight("a")) == (SECOND.version, 3)
    assert book.policy(FIRST.version).weight("a") == 2
    assert book.knows(FIRST.version)
    book.apply(FIRST)
    assert book.current.version == FIRST.version, "a way back"


def test_a_bad_one_never_replaces_a_good_one() -> None:
    book = PolicyBook()
    book.apply(FIRST)
    with pytest.raises(UnusableVersion):
        book.apply(BAD)
    assert book.pushed == FIRST
    book.check()


def test_versions_that_cannot_be_used_are_not_the_same_as_none() -> None:
    book = PolicyBook()
    book.check()
    book.passed_over.append("of a later release")
    with pytest.raises(UnusableVersion, match="later release"):
        book.check()


def test_tables_of_pools_are_known_and_change_nothing() -> None:
    book = PolicyBook()
    table = pools_version([Pool("p", "vllm", "m")], 3)
    book.apply(table)
    assert book.current is BUILT_IN
    assert book.pools(table.version)[0].name == "p"


def test_what_is_not_known_is_said() -> None:
    book = PolicyBook()
    with pytest.raises(UnusableVersion, match="abc"):
        book.policy("abc")
    with pytest.raises(UnusableVersion, match="abc"):
        book.pools("abc")
