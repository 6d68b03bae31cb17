"""The vectors of one embedder: 8 bits a number to compare with, and one bit a number to choose what is compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aiosv3.memory.views.errors import VectorUnusable

Floats = NDArray[np.float64]
Rows = NDArray[np.integer[Any]]

_FIRST_ROOM: Final = 64
_NO_SLOT: Final = -1
_WORD_BITS: Final = 64


class Vectors:
    """Slots of vectors by row. Cosines are off by less than 0.01 (8 bits), the estimates by about 0.1 (1 bit)."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        words = -(-dimensions // _WORD_BITS)
        self._codes = np.zeros((_FIRST_ROOM, dimensions), np.int8)
        self._scales = np.zeros(_FIRST_ROOM, np.float32)
        # A row a word of bits: what is compared at once lies side by side.
        self._signs = np.zeros((words, _FIRST_ROOM), np.uint64)
        self._slots = np.full(_FIRST_ROOM, _NO_SLOT, np.int32)
        self._free: list[int] = []
        self._used = 0

    def __len__(self) -> int:
        return self._used - len(self._free)

    def put(self, row: int, vector: NDArray[np.float32]) -> None:
        """Takes in a row's vector. Raises ``VectorUnusable``."""
        self.put_all(np.array([row]), self.checked([vector]))

    def checked(self, vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """All of them, one below the other. Raises ``VectorUnusable`` where one cannot be taken in."""
        wrong = next((vector.shape for vector in vectors if vector.shape != (self.dimensions,)), None)
        if wrong is not None:
            raise VectorUnusable(f"a vector has shape {wrong}, the others of its embedder ({self.dimensions},)")
        whole = np.concatenate(vectors).reshape(len(vectors), self.dimensions)
        lengths = np.linalg.norm(whole, axis=1)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise VectorUnusable("a vector of length 0, or with numbers that are none, has no direction")
        return whole

    def put_all(self, rows: Rows, whole: NDArray[np.float32]) -> None:
        """Takes in a vector for each row, as :meth:`checked` has them."""
        lengths = np.linalg.norm(whole, axis=1)
        slots = self._take(len(whole))
        scales = np.abs(whole).max(axis=1) / 127
        self._codes[slots] = np.rint(whole / scales[:, None])
        self._scales[slots] = scales / lengths
        self._signs[:, slots] = _signs(whole).T
        while rows.max() >= len(self._slots):
            self._slots = np.append(self._slots, np.full(len(self._slots), _NO_SLOT, np.int32))
        self._slots[rows] = slots

    def remove(self, row: int) -> None:
        """Lets go of a row's vector, if it has one."""
        slot = self._slots[row] if row < len(self._slots) else _NO_SLOT
        if slot == _NO_SLOT:
            return
        self._slots[row] = _NO_SLOT
        self._codes[slot] = 0
        self._scales[slot] = 0
        self._signs[:, slot] = 0
        self._free.append(int(slot))

    def having(self, rows: Rows) -> Rows:
        """Those of the rows that have a vector."""
        rows = rows[rows < len(self._slots)]
        found: Rows = rows[self._slots[rows] != _NO_SLOT]
        return found

    def nearest(self, query: NDArray[np.float32], rows: Rows, most: int) -> Rows:
        """The ``most`` rows that look nearest by their signs, and those that look as near as the last of them.

        All of the rows have a vector. Not sorted.
        """
        if len(rows) <= most:
            return rows
        different = np.zeros(self._used, np.uint16)
        for word, asked in zip(self._signs, _signs(query), strict=True):
            different += np.bitwise_count(word[: self._used] ^ asked)
        away = different[self._slots[rows]]
        least = int(np.searchsorted(np.cumsum(np.bincount(away)), most))
        found: Rows = rows[away <= least]
        return found

    def cosines(self, query: NDArray[np.float32], rows: Rows) -> Floats:
        """The cosine of each row and the query; all rows have a vector."""
        slots = self._slots[rows]
        # Not BLAS's product: its threads wait for each other by spinning; on a busy machine that takes longer.
        products = np.einsum("ij,j->i", self._codes[slots].astype(np.float32), query.astype(np.float32, copy=False))
        length = float(np.linalg.norm(query)) or 1.0
        cosines: Floats = products.astype(np.float64) * self._scales[slots] / length
        return cosines

    def of(self, rows: Rows) -> NDArray[np.float32]:
        """The vectors themselves, of length one; zeros where there is none."""
        slots = self._slots[np.minimum(rows, len(self._slots) - 1)]
        found = self._codes[slots] * self._scales[slots, None]
        found[(slots == _NO_SLOT) | (rows >= len(self._slots))] = 0
        result: NDArray[np.float32] = found
        return result

    def _take(self, count: int) -> Rows:
        """So many slots, those that were let go of first."""
        again = [self._free.pop() for _ in range(min(count, len(self._free)))]
        fresh = range(self._used, self._used + count - len(again))
        self._used = fresh.stop
        while self._used > len(self._scales):
            self._codes = np.concatenate([self._codes, np.zeros_like(self._codes)])
            self._scales = np.concatenate([self._scales, np.zeros_like(self._scales)])
            self._signs = np.concatenate([self._signs, np.zeros_like(self._signs)], axis=1)
        return np.array([*again, *fresh])


def _signs(vectors: NDArray[np.float32]) -> NDArray[np.uint64]:
    """The signs of the last axis' numbers, as words of bits."""
    bits = np.packbits(vectors > 0, axis=-1)
    missing = -bits.shape[-1] % (_WORD_BITS // 8)
    if missing:
        bits = np.concatenate([bits, np.zeros((*bits.shape[:-1], missing), np.uint8)], axis=-1)
    return bits.view(np.uint64)
