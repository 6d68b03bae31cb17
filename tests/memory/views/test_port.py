"""What a query asks for, by itself: a scan or a search, one source or many, and the order of a scan."""

from __future__ import annotations

import itertools

import pytest

from aiosv3.memory.views.port import Entry, Query, scan_order


def turn(name: str, *, at: int, position: int) -> Entry:
    return Entry(name, 1, "acme", "tenant", "episode", "said", at, at, "hash", source="talk", position=position)


@pytest.mark.parametrize(("text", "scan"), [("", True), ("  \n", True), ("words", False)])
def test_without_words_and_vector_it_is_a_scan(text: str, scan: bool) -> None:
    assert Query("t", ("tenant",), text=text).scans() is scan


@pytest.mark.parametrize(
    ("sources", "one"), [(None, None), ((), None), (("a",), "a"), (("a", "a"), "a"), (("a", "b"), None)]
)
def test_one_source_is_known_as_such(sources: tuple[str, ...] | None, one: str | None) -> None:
    assert Query("t", ("tenant",), sources=sources).one_source() == one


def test_a_scan_is_newest_first_and_of_one_moment_by_the_later_turn() -> None:
    newest = turn("c", at=2, position=0)
    later, earlier = turn("b", at=1, position=7), turn("a", at=1, position=3)
    for given in itertools.permutations([earlier, newest, later]):
        assert sorted(given, key=scan_order) == [newest, later, earlier]
