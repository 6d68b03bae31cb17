"""The report: every data set in every way, embedded once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aiosv3.memory.embedders import HashEmbedder
from aiosv3.memory.evaluate import VARIANTS, Dataset, Question, datasets, evaluate
from aiosv3.memory.views.embedded import DEFAULT, Ranking

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "retrieval"

CHATS = Dataset(
    "chats",
    [
        {"id": "1", "text": "Which instrument?", "speaker": "Bob", "scope": "c"},
        {"id": "2", "text": "The cello.", "speaker": "Ada", "scope": "c"},
        {"id": "3", "text": "Nothing.", "speaker": "Bob", "scope": "d"},
    ],
    [[Question("instrument", "c", {"1": 1, "2": 1})], [Question("instrument", "d", {"3": 1})]],
    "recall",
)


class Counting(HashEmbedder):
    """Counts the texts that it is given."""

    texts = 0

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
        Counting.texts += 0 if query else len(texts)
        return await super().embed(texts, query=query)


def test_every_way_is_measured_and_nothing_embedded_twice() -> None:
    Counting.texts = 0
    rows = list(evaluate([CHATS], {"default": DEFAULT, "nothing": Ranking(lexical=0, dense=0)}, Counting))
    assert [(row.dataset, row.variant, row.measure) for row in rows] == [
        ("chats", "default", "recall@10"),
        ("chats", "nothing", "recall@10"),
    ]
    assert rows[0].estimate.questions == 2
    assert rows[0].groups[0] == 1.0
    # One more to see whether the embedder works.
    assert Counting.texts == 4


def test_the_first_variant_is_the_default() -> None:
    assert VARIANTS["default"] is DEFAULT
    assert next(iter(VARIANTS)) == "default"


@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not on this machine")
def test_words_alone_find_what_they_did_when_the_weights_were_chosen() -> None:
    """Without vectors: the figures must not depend on a download. A change of weights changes the numbers here."""
    chats = [dataset for dataset in datasets(DATA) if dataset.measure == "recall"]
    plain, default = (
        next(evaluate(chats, {"it": ranking}, HashEmbedder)).estimate.mean
        for ranking in (VARIANTS["plain BM25"], VARIANTS["words alone"])
    )
    assert plain < 0.68
    assert default > 0.77
