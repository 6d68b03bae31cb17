"""BERT's tokens."""

from __future__ import annotations

import pytest

from aiosv3.memory.embedders.wordpiece import WordPiece

WORDS = ["[CLS]", "[SEP]", "[UNK]", "un", "##aff", "##able", "hello", ",", "'", "s", "\u4e2d", "cafe", "$", "5"]
VOCABULARY = {word: number for number, word in enumerate(WORDS)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello", ["hello"]),
        ("unaffable, hello's", ["un", "##aff", "##able", ",", "hello", "'", "s"]),
        ("CAF\u00c9", ["cafe"]),
        ("hello\u4e2dhello", ["hello", "\u4e2d", "hello"]),
        ("unhello", ["[UNK]"]),
        ("hello\x00\n hello", ["hello", "hello"]),
        ("$5", ["$", "5"]),
        ("x" * 200, ["[UNK]"]),
        ("", []),
    ],
)
def test_pieces(text: str, expected: list[str]) -> None:
    ids = WordPiece(VOCABULARY).ids(text, 50)
    assert [WORDS[number] for number in ids] == ["[CLS]", *expected, "[SEP]"]


def test_what_is_too_long_is_cut_and_closed() -> None:
    pieces = WordPiece(VOCABULARY)
    assert pieces.ids("hello " * 9, 5) == [0, 6, 6, 6, 1]
    assert pieces.ids("unaffable", 3) == [0, 3, 1]
