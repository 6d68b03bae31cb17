"""The embedder for tests."""

from __future__ import annotations

import numpy as np
import pytest

from aiosv3.memory.embedders import HashEmbedder


async def test_equal_words_are_near_each_other() -> None:
    embedder = HashEmbedder()
    tea, again, steel, empty = await embedder.embed(["green tea", "GREEN tea leaves", "steel", ""])
    assert float(tea @ again) > 0.7 > abs(float(tea @ steel))
    assert np.linalg.norm(empty) == pytest.approx(1)
    assert (await embedder.embed(["green tea"], query=True))[0].tolist() == tea.tolist()
    assert (embedder.name, HashEmbedder(8).name) == ("hash-64", "hash-8")
    await embedder.close()
