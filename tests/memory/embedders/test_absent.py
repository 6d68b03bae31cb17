"""No embedder at all."""

from __future__ import annotations

import pytest

from aiosv3.memory.embedders import EmbedderUnavailable, NoEmbedder


async def test_it_makes_no_vectors() -> None:
    embedder = NoEmbedder()
    with pytest.raises(EmbedderUnavailable):
        await embedder.embed(["tea"])
    await embedder.close()
    assert embedder.name == "none"
