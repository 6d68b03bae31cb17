"""The encoder, against the same sums written one text and one head at a time."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiosv3.memory.embedders.bert import Bert, read_safetensors

SIZE, HEADS, WIDE = 64, 2, 96


def weights() -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    random = np.random.default_rng(1)

    def some(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return random.standard_normal(shape).astype(np.float32) * np.float32(0.3)

    found = {
        "embeddings.word_embeddings.weight": some(50, SIZE),
        "embeddings.position_embeddings.weight": some(16, SIZE),
        "embeddings.token_type_embeddings.weight": some(2, SIZE),
        "embeddings.LayerNorm.weight": some(SIZE),
        "embeddings.LayerNorm.bias": some(SIZE),
    }
    shapes = {
        "attention.self.query": (SIZE, SIZE),
        "attention.self.key": (SIZE, SIZE),
        "attention.self.value": (SIZE, SIZE),
        "attention.output.dense": (SIZE, SIZE),
        "intermediate.dense": (WIDE, SIZE),
        "output.dense": (SIZE, WIDE),
    }
    for layer in range(2):
        for name, shape in shapes.items():
            found[f"encoder.layer.{layer}.{name}.weight"] = some(*shape)
            found[f"encoder.layer.{layer}.{name}.bias"] = some(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            found[f"encoder.layer.{layer}.{name}.weight"] = some(SIZE)
            found[f"encoder.layer.{layer}.{name}.bias"] = some(SIZE)
    return found


def slow(tensors: dict[str, Any], ids: list[int]) -> np.ndarray[Any, Any]:
    """One text in float64, head by head, with erf itself."""
    erf = np.vectorize(math.erf)

    def norm(x: Any, name: str) -> Any:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def linear(x: Any, name: str) -> Any:
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    words = tensors["embeddings.word_embeddings.weight"].astype(np.float64)[ids]
    places = tensors["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(words + places + tensors["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(2):
        name = f"encoder.layer.{layer}"
        query, key, value = (linear(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = []
        for head in range(HEADS):
            cut = slice(head * SIZE // HEADS, (head + 1) * SIZE // HEADS)
            scores = np.exp(query[:, cut] @ key[:, cut].T / math.sqrt(SIZE / HEADS))
            heads.append(scores / scores.sum(-1, keepdims=True) @ value[:, cut])
        x = norm(
            linear(np.concatenate(heads, -1), f"{name}.attention.output.dense") + x,
            f"{name}.attention.output.LayerNorm",
        )
        wide = linear(x, f"{name}.intermediate.dense")
        x = norm(
            linear(wide * 0.5 * (1 + erf(wide / math.sqrt(2))), f"{name}.output.dense") + x, f"{name}.output.LayerNorm"
        )
    mean: np.ndarray[Any, Any] = x.mean(0) / np.linalg.norm(x.mean(0))
    return mean


def test_the_numbers_are_right_also_beside_longer_texts() -> None:
    tensors = weights()
    bert = Bert(tensors)
    texts = [[1, 5, 9, 2], [7], [4, 4, 8, 15, 16, 23, 42, 2]]
    found = bert.encode(texts)
    assert bert.dimensions == SIZE
    for row, ids in zip(found, texts, strict=True):
        assert row == pytest.approx(slow(tensors, ids), abs=2e-5)


def test_safetensors(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype=np.float32)
    half = np.array([1.5, 2.5], np.float16)
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "F16", "shape": [2], "data_offsets": [24, 28]},
        "ids": {"dtype": "I64", "shape": [1], "data_offsets": [28, 36]},
    }
    told = json.dumps(header).encode()
    content = struct.pack("<Q", len(told)) + told + numbers.tobytes() + half.tobytes() + bytes(8)
    (tmp_path / "model").write_bytes(content)
    found = read_safetensors(tmp_path / "model")
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["b"].tolist() == [1.5, 2.5]
    assert str(found["b"].dtype) == "float32"
    assert set(found) == {"a", "b"}
