"""The embedded view over many memories: how fast it takes them in, finds, and how much room they need.

``python -m bench.memory_find [--memories 100000] [--searches 300]``. Words follow Zipf's law over 50,000 of them, a
memory has 16 (as a turn of a conversation); vectors have 384 numbers; sources have 20 turns. The query's vector is
given: what an embedder takes comes on top. On a busy machine look at the processor's time (``cpu``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
from dataclasses import replace

import numpy as np

from aiosv3.memory.views import Entry, Put, Query
from aiosv3.memory.views.embedded import EmbeddedView

_WORDS = 50_000
_LENGTH = 16
_DIMENSIONS = 384
_AT_ONCE = 1000
_TURNS = 20
_NOW = 1_750_000_000_000


def megabytes() -> float:
    """The most that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Maker:
    """Memories and queries, the same for the same seed."""

    def __init__(self, seed: int = 7) -> None:
        self._random = np.random.default_rng(seed)
        chances = 1 / np.arange(10, _WORDS + 10)
        self._chances = chances / chances.sum()

    def text(self, length: int) -> str:
        """Words without meaning, some of them frequent."""
        return " ".join(f"w{number}x" for number in self._random.choice(_WORDS, length, p=self._chances))

    def vectors(self, count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        """Of length one."""
        found = self._random.standard_normal((count, _DIMENSIONS), np.float32)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found

    def batch(self, start: int, count: int, *, embedded: bool) -> list[Put]:
        """Memories with the numbers from ``start`` on."""
        vectors = self.vectors(count) if embedded else [None] * count
        return [Put(self._entry(start + place, vector)) for place, vector in enumerate(vectors)]

    def _entry(self, number: int, vector: np.ndarray[tuple[int], np.dtype[np.float32]] | None) -> Entry:
        return Entry(
            id=f"{number:032x}",
            version=1,
            tenant="bench",
            scope=f"team:{number // 1000 % 10}",
            kind="episode",
            text=self.text(_LENGTH),
            valid_from=_NOW - number,
            recorded_at=_NOW,
            content_hash=f"{number:032x}",
            speaker=f"speaker{number % 50}",
            vector=vector,
            embedder=None if vector is None else "random",
            source=f"conversation{number // _TURNS}",
            position=number % _TURNS,
        )


async def measure(memories: int, searches: int) -> dict[str, float]:
    """All figures, by name."""
    maker = Maker()
    view = EmbeddedView(clock=lambda: _NOW)
    before, taken = megabytes(), 0.0
    for start in range(0, memories, _AT_ONCE):
        batch = maker.batch(start, _AT_ONCE, embedded=True)
        began = time.perf_counter()
        await view.apply(batch)
        taken += time.perf_counter() - began
    held = megabytes() - before
    figures = {"memories": memories, "put_per_s": memories / taken, "megabytes_per_million": held * 1e6 / memories}
    every = [f"team:{number}" for number in range(10)]
    for name, scopes, embedded in (("all", every, True), ("words", every, False), ("tenth", every[:1], True)):
        times, worked = [], []
        for vector in maker.vectors(searches):
            query = Query(tenant="bench", scopes=scopes, text=maker.text(6))
            if embedded:
                query = replace(query, vector=vector, embedder="random")
            began, work = time.perf_counter(), time.process_time()
            await view.search(query)
            times.append((time.perf_counter() - began) * 1000)
            worked.append((time.process_time() - work) * 1000)
        for share in (50, 99):
            figures[f"{name}_p{share}_ms"] = float(np.percentile(times, share))
            figures[f"{name}_p{share}_cpu_ms"] = float(np.percentile(worked, share))
    await view.close()
    return {name: round(value, 2) for name, value in figures.items()}


def main() -> None:
    """Prints the figures as one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=300)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.memories, options.searches)), indent=1))


if __name__ == "__main__":
    main()
