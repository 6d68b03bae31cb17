"""Which words of a text are compared, and in which form."""

from __future__ import annotations

import pytest

from aiosv3.memory.views.embedded import analysis
from aiosv3.memory.views.embedded.analysis import forget_words, terms, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada's cats", ["ada", "cats"]),
        ("Ada\u2019s caf\u00e9", ["ada", "cafe"]),
        ("v2.1, 2023-05-08!", ["v2", "1", "2023", "05", "08"]),
        ("snake_case", ["snake", "case"]),
        ("\u043f\u0440\u0438\u0432\u0435\u0442", ["\u043f\u0440\u0438\u0432\u0435\u0442"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_terms_are_stems_without_stop_words() -> None:
    assert terms("The refunds were approved by approvers") == terms("refund approve approver") != []


def test_a_text_of_stop_words_alone_can_be_found() -> None:
    assert terms("The Who") == ["the", "who"]


def test_a_word_is_cut_at_a_length() -> None:
    assert len(terms("x" * 5000)[0]) == 64


def test_words_are_forgotten() -> None:
    terms("secretword")
    assert analysis._stem.cache_info().currsize > 0
    forget_words()
    assert analysis._stem.cache_info().currsize == 0
