"""A BERT encoder in numpy: token ids in, one vector of length one a text out (mean of its tokens' last states).

After Devlin et al. 2019 (the encoder) and Reimers & Gurevych 2019 (the mean). Matrix products are BLAS's and run
without the interpreter's lock.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_EPSILON: Final = 1e-12
_HEADER: Final = struct.Struct("<Q")
_HEAD_SIZE: Final = 32
_TYPES: Final[dict[str, Any]] = {"F32": np.float32, "F16": np.float16}


def read_safetensors(path: Path) -> dict[str, Floats]:
    """The tensors of a safetensors file: 8 bytes of header size, a JSON header, then the numbers. All as float32."""
    content = path.read_bytes()
    (size,) = _HEADER.unpack_from(content)
    start = _HEADER.size + size
    header: dict[str, dict[str, Any]] = json.loads(content[_HEADER.size : start])
    tensors = {}
    for name, told in header.items():
        kind = _TYPES.get(str(told.get("dtype")))
        if kind is None:
            continue
        first, end = told["data_offsets"]
        numbers = np.frombuffer(content[start + first : start + end], dtype=kind)
        tensors[name] = numbers.reshape(told["shape"]).astype(np.float32)
    return tensors


class Bert:
    """One model. Thread-safe: a call changes nothing."""

    def __init__(self, tensors: Mapping[str, Floats]) -> None:
        self._words = tensors["embeddings.word_embeddings.weight"]
        self._places = tensors["embeddings.position_embeddings.weight"] + tensors[_KIND][0]
        self._first = _Norm(tensors, "embeddings.LayerNorm")
        count = 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("encoder.layer."))
        self._layers = [_Layer(tensors, f"encoder.layer.{number}") for number in range(count)]

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has."""
        return int(self._words.shape[1])

    def encode(self, texts: Sequence[Sequence[int]]) -> Floats:
        """One row a text. Texts of about the same length belong together: all are as costly as the longest."""
        longest = max(map(len, texts))
        ids = np.zeros((len(texts), longest), dtype=np.int64)
        there = np.zeros((len(texts), longest), dtype=np.float32)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
            there[row, : len(text)] = 1
        states = self._first(self._words[ids] + self._places[:longest])
        hidden = ((1 - there) * np.float32(-1e9))[:, None, None, :]
        for layer in self._layers:
            states = layer(states, hidden)
        sums = np.einsum("btd,bt->bd", states, there)
        length = np.sqrt(np.einsum("bd,bd->b", sums, sums))
        result: Floats = sums / np.maximum(length, np.float32(_EPSILON))[:, None]
        return result


_KIND: Final = "embeddings.token_type_embeddings.weight"


class _Norm:
    def __init__(self, tensors: Mapping[str, Floats], name: str) -> None:
        self._weight = tensors[f"{name}.weight"]
        self._bias = tensors[f"{name}.bias"]

    def __call__(self, states: Floats) -> Floats:
        centred: Floats = states - states.mean(axis=-1, keepdims=True)
        variance = np.mean(centred * centred, axis=-1, keepdims=True)
        centred *= 1 / np.sqrt(variance + np.float32(_EPSILON))
        centred *= self._weight
        centred += self._bias
        return centred


class _Linear:
    def __init__(self, weight: Floats, bias: Floats) -> None:
        self._weight = np.ascontiguousarray(weight.T)
        self._bias = bias

    def __call__(self, states: Floats) -> Floats:
        rows = states.reshape(-1, states.shape[-1]) @ self._weight
        rows += self._bias
        result: Floats = rows.reshape(*states.shape[:-1], -1)
        return result


class _Layer:
    def __init__(self, tensors: Mapping[str, Floats], name: str) -> None:
        def linear(*parts: str) -> _Linear:
            names = [f"{name}.{part}" for part in parts]
            weight = np.concatenate([tensors[f"{one}.weight"] for one in names])
            return _Linear(weight, np.concatenate([tensors[f"{one}.bias"] for one in names]))

        self._asks = linear("attention.self.query", "attention.self.key", "attention.self.value")
        self._joins = linear("attention.output.dense")
        self._joined = _Norm(tensors, f"{name}.attention.output.LayerNorm")
        self._widens = linear("intermediate.dense")
        self._narrows = linear("output.dense")
        self._narrowed = _Norm(tensors, f"{name}.output.LayerNorm")

    def __call__(self, states: Floats, hidden: Floats) -> Floats:
        batch, length, size = states.shape
        asked = self._asks(states).reshape(batch, length, 3, size // _HEAD_SIZE, _HEAD_SIZE)
        query, key, value = asked.transpose(2, 0, 3, 1, 4)
        scores = query @ key.transpose(0, 1, 3, 2)
        scores *= np.float32(1 / math.sqrt(_HEAD_SIZE))
        scores += hidden
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        seen = (scores @ value).transpose(0, 2, 1, 3).reshape(batch, length, size)
        states = self._joined(self._joins(seen) + states)
        return self._narrowed(self._narrows(_gelu(self._widens(states))) + states)


def _gelu(numbers: Floats) -> Floats:
    """x Φ(x), with erf after Abramowitz & Stegun 7.1.26 (off by less than 1.5e-7): numpy has none."""
    scaled = np.abs(numbers) * np.float32(math.sqrt(0.5))
    near = 1 / (1 + np.float32(0.3275911) * scaled)
    tail = near * np.float32(1.061405429)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += np.float32(factor)
        tail *= near
    scaled *= -scaled
    tail *= np.exp(scaled, out=scaled)
    # Φ(x) = 1 - tail / 2 for x ≥ 0, tail / 2 below.
    tail *= np.float32(0.5)
    result: Floats = numbers * np.where(numbers >= 0, 1 - tail, tail)
    return result
