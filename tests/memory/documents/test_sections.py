"""Headings over texts."""

from __future__ import annotations

from aiosv3.memory.documents.sections import Section, sections


def test_a_heading_ends_those_of_its_level_and_below() -> None:
    pieces = [(0, "before"), (1, "A"), (0, "a"), (3, " deep \n one "), (0, "b"), (0, "c"), (2, "B"), (1, "C"), (0, "d")]
    assert list(sections(pieces)) == [
        Section((), "before"),
        Section(("A",), "a"),
        Section(("A", "deep one"), "b\n\nc"),
        Section(("C",), "d"),
    ]


def test_an_empty_heading_stands_over_nothing() -> None:
    assert list(sections([(1, "A"), (2, " "), (0, "a"), (0, " \n")])) == [Section(("A",), "a")]
