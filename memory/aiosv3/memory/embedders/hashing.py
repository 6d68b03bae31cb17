"""An embedder for tests: words hashed into a vector. It knows no meaning; equal words are near each other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiosv3.memory.views.port import Vector


class HashEmbedder:
    """Implements ``Embedder``. Not for use: BM25 finds the same and costs less."""

    def __init__(self, dimensions: int = 64) -> None:
        self._dimensions = dimensions

    @property
    def name(self) -> str:
        """See ``Embedder``."""
        return f"hash-{self._dimensions}"

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        """See ``Embedder``."""
        del query
        return [self._vector(text) for text in texts]

    async def close(self) -> None:
        """See ``Embedder``."""

    def _vector(self, text: str) -> Vector:
        import numpy as np

        vector = np.zeros(self._dimensions, np.float32)
        # A text without words has a direction too.
        for word in text.lower().split() or [""]:
            number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
            vector[number % self._dimensions] += 1 if number >> 63 else -1
        if not vector.any():
            vector[0] = 1
        result: Vector = vector / np.linalg.norm(vector)
        return result
