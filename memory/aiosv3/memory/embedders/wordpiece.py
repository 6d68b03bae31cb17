"""BERT's tokens of a text: the uncased basic tokenizer, then greedy longest match in the vocabulary (WordPiece)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

_LONGEST_WORD: Final = 100
_UNKNOWN: Final = "[UNK]"
_FIRST: Final = "[CLS]"
_LAST: Final = "[SEP]"
_CACHED_WORDS: Final = 50_000
_IDEOGRAPHS: Final = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2FA1F), (0xF900, 0xFAFF))


class WordPiece:
    """A tokenizer over one vocabulary: word piece → id; pieces inside a word start with ``##``."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._vocabulary = vocabulary
        self._first = vocabulary[_FIRST]
        self._last = vocabulary[_LAST]
        self._unknown = vocabulary[_UNKNOWN]
        self._known: dict[str, list[int]] = {}

    def ids(self, text: str, longest: int) -> list[int]:
        """At most ``longest`` ids with the marks of beginning and end; what is beyond is cut off."""
        found = [self._first]
        for word in _words(text):
            found += self._pieces(word)
            if len(found) >= longest:
                break
        return [*found[: longest - 1], self._last]

    def _pieces(self, word: str) -> list[int]:
        known = self._known.get(word)
        if known is None:
            known = self._split(word)
            if len(self._known) < _CACHED_WORDS:
                self._known[word] = known
        return known

    def _split(self, word: str) -> list[int]:
        if len(word) > _LONGEST_WORD:
            return [self._unknown]
        pieces: list[int] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            for end in range(len(word), start, -1):
                piece = self._vocabulary.get(mark + word[start:end])
                if piece is not None:
                    break
            else:
                return [self._unknown]
            pieces.append(piece)
            start = end
        return pieces


def _words(text: str) -> Iterator[str]:
    """Lower case without accents, cut at white space; each punctuation mark and ideograph is a word of its own."""
    word: list[str] = []
    for character in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(character)
        if category == "Mn" or (category[0] == "C" and character not in "\t\n\r"):
            continue
        alone = _is_punctuation(character, category) or _is_ideograph(character)
        if alone or character.isspace():
            if word:
                yield "".join(word)
                word = []
            if alone:
                yield character
        else:
            word.append(character)
    if word:
        yield "".join(word)


def _is_punctuation(character: str, category: str) -> bool:
    # As BERT has it: every ASCII mark that is no letter or digit, symbols too.
    return category[0] == "P" or (character.isascii() and not character.isalnum() and not character.isspace())


def _is_ideograph(character: str) -> bool:
    return not character.isascii() and any(low <= ord(character) <= high for low, high in _IDEOGRAPHS)
