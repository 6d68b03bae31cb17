"""Vectors for the memory of a test: made by whatever the test gives, or out of the words of a text."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

Embed: TypeAlias = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Texts -> a vector of length one for each, all of one size. The same text has the same vector each time."""
_WORD: Final = re.compile(r"\w+")
_SIZE: Final = 64


def hashed_words(texts: Sequence[str]) -> list[list[float]]:
    """An :data:`Embed` that knows no meaning: texts are near each other that share words. The same on every machine."""
    return [_hashed(text) for text in texts]


def nearness(one: Sequence[float], other: Sequence[float]) -> float:
    """Cosine of the angle between vectors of length one."""
    return math.fsum(float(a) * float(b) for a, b in zip(one, other, strict=True))


def _hashed(text: str) -> list[float]:
    vector = [0.0] * _SIZE
    for word in _WORD.findall(text.lower()) or [""]:
        number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
        vector[number % _SIZE] += 1.0 if number >> 63 else -1.0
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]
