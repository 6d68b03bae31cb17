"""Keys and tokens: by the prefixes that their makers give them, and by what stands behind a word like "password"."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

_PREFIXED: Final = re.compile(
    r"(?:sk-[A-Za-z0-9_-]{20,200}"  # OpenAI, Anthropic and those that follow them
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|gh[oprsu]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{22,255}"
    r"|glpat-[A-Za-z0-9_-]{20,100}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,200}"
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,500}"
    r"|hf_[A-Za-z0-9]{30,60}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,300}|dop_v1_[a-f0-9]{64}"
    r"|[rsp]k_(?:live|test)_[A-Za-z0-9]{20,250}"
    r"|SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}"
    r"|eyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,4000}"
    r")(?![A-Za-z0-9_])"
)
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_ASSIGNED: Final = re.compile(
    r"(?:password|passwd|passphrase|secret|token|api[_ -]?key|access[_ -]?key|private[_ -]?key|credentials?)"
    r"[\"']?[ \t]{0,4}(?:[:=]|=>|\bis\b)[ \t]{0,4}[\"'`]?([^\s\"'`,;<>{}()]{8,256})",
    re.IGNORECASE,
)
_BEGINNINGS: Final = (
    *(
        "sk-",
        "AKIA",
        "ASIA",
        "ghp_",
        "gho_",
        "ghr_",
        "ghs_",
        "ghu_",
        "github_pat_",
        "glpat-",
        "xox",
        "AIza",
        "ya29.",
        "hf_",
        "npm_",
        "pypi-",
        "dop_v1_",
    ),
    *("k_live_", "k_test_", "SG.", "eyJ"),
)
_NAMES: Final = ("pass", "secret", "token", "key", "credential")
_INSIDE_A_WORD: Final = re.compile(r"[\w-]")
_IN_URL: Final = re.compile(r"://[^\s:/@]{1,64}:([^\s:/@]{3,128})@")
_LEAST_BITS: Final = 2.7
"""Of Shannon entropy a character. English words have about 2.5 over such a length, keys 4 and more."""


def tokens(text: str) -> Iterator[tuple[int, int]]:
    """Everything of this module. Plain searches come first: in most texts nothing more is looked at."""
    if any(beginning in text for beginning in _BEGINNINGS):
        for match in _PREFIXED.finditer(text):
            if not _INSIDE_A_WORD.match(text, max(0, match.start() - 1), match.start()):
                yield match.span()
    if "PRIVATE KEY" in text:
        yield from (match.span() for match in _PRIVATE_KEY.finditer(text))
    if "://" in text:
        yield from (match.span(1) for match in _IN_URL.finditer(text))
    lowered = text.lower()
    if any(name in lowered for name in _NAMES):
        yield from (match.span(1) for match in _ASSIGNED.finditer(text) if looks_random(match[1]))


def looks_random(word: str) -> bool:
    """Letters and digits (or signs) mixed, and hard to foretell: no word of a language, no variable's name."""
    kinds = (str.isdigit, str.islower, str.isupper, lambda letter: not letter.isalnum())
    mixed = sum(any(map(kind, word)) for kind in kinds) >= 2 and any(letter.isdigit() for letter in word)
    return mixed and entropy(word) >= _LEAST_BITS


def entropy(word: str) -> float:
    """Bits a character (Shannon, from the frequencies of the word itself); 0 for the empty word."""
    counts = Counter(word).values()
    return -sum(count / len(word) * math.log2(count / len(word)) for count in counts)
