"""The terms of a text: words in lower case without accents, without stop words, stemmed (Porter2)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from typing import Final

import snowballstemmer

_WORD: Final = re.compile(r"([^\W_]{1,64})[^\W_]*")
"""The rest of a longer one is left out."""
_APOSTROPHES: Final = re.compile("[\u2019\u02bc']s?\\b")
_CACHED: Final = 1 << 16

_STOPPED: Final = """
a about above after again against all am an and any are aren as at be because been before being below between both but
by can cannot could couldn d did didn do does doesn doing don down during each few for from further had hadn has hasn
have haven having he her here hers herself him himself his how i if in into is isn it its itself just ll m me mightn
more most mustn my myself needn no nor not now o of off on once only or other our ours ourselves out over own re s
same shan she should shouldn so some such t than that the their theirs them themselves then there these they this
those through to too under until up ve very was wasn we were weren what when where which while who whom why will with
won would wouldn y you your yours yourself yourselves
"""
STOP_WORDS: Final = frozenset(_STOPPED.split())


def words(text: str) -> list[str]:
    """The words of a text as they are compared: lower case, no accents; ``Ada's`` is ``ada``."""
    plain = text.lower()
    if not plain.isascii():
        plain = "".join(mark for mark in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(mark))
    return _WORD.findall(_APOSTROPHES.sub(" ", plain))


def terms(text: str, stop_words: Collection[str] = STOP_WORDS) -> list[str]:
    """What a text is found by, in order. A text of nothing but stop words is found by these."""
    found = words(text)
    kept = [word for word in found if word not in stop_words]
    return list(map(_stem, kept or found))


def forget_words() -> None:
    """Drops the words that the stemmer has seen: they may be of a memory that is purged."""
    _stem.cache_clear()


@lru_cache(_CACHED)
def _stem(word: str) -> str:
    # A stemmer is not for several threads, and may remember words; one of its own costs a quarter of a microsecond.
    stem: str = snowballstemmer.stemmer("english").stemWord(word)
    return stem
