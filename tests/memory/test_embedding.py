"""Vectors: many askers, few calls, and an embedder that fails is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from aiosv3.memory.embedding import Embedding

if TYPE_CHECKING:
    from aiosv3.memory.views.port import Vector


class Counting:
    """Says how often, and for what, it was called."""

    name = "counting"

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[str, ...], bool]] = []
        self.trouble: Exception | None = None
        self.closed = False

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        self.calls.append((tuple(texts), query))
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        return [np.full(2, len(text), dtype=np.float32) for text in texts]

    async def close(self) -> None:
        self.closed = True


async def test_what_is_asked_during_a_call_is_asked_in_one_call_after_it() -> None:
    embedder = Counting()
    embedding = Embedding(embedder)
    texts = [f"{'x' * number}" for number in range(1, 6)]
    vectors = await asyncio.gather(*(embedding.vector(text) for text in texts), embedding.vector("a query", query=True))
    assert [int(vector[0]) for vector in vectors if vector is not None] == [1, 2, 3, 4, 5, 7]
    assert embedder.calls == [(tuple(texts), False), (("a query",), True)]
    assert embedding.name == "counting"


async def test_one_that_fails_is_asked_again_later() -> None:
    embedder = Counting()
    embedder.trouble = RuntimeError("no memory")
    resting = Embedding(embedder, rest=1_000.0)
    vectors = await asyncio.gather(resting.vector("a"), resting.vector("b"))
    assert [vector is None for vector in vectors] == [True, True]
    assert await resting.vector("c") is None
    assert len(embedder.calls) == 1
    embedder.trouble = None
    assert await Embedding(embedder, rest=0.0).vector("a") is not None


async def test_without_an_embedder_nothing_is_made() -> None:
    embedding = Embedding(None)
    assert (await embedding.vector("a"), embedding.name) == (None, None)
    await embedding.close()
    embedder = Counting()
    assert await Embedding(embedder).vector("") is None
    await Embedding(embedder).close()
    assert embedder.closed
