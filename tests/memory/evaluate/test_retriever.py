"""The default configuration as an object."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from aiosv3.memory.embedders import HashEmbedder, ModelFilesMissing
from aiosv3.memory.evaluate import Retriever, retriever
from aiosv3.memory.views.embedded import DEFAULT, Ranking

TURNS: list[dict[str, Any]] = [
    {
        "id": "1",
        "text": "Which instrument do you play?",
        "speaker": "Bob",
        "timestamp": "2023-05-08T10:00",
        "scope": "c1",
    },
    {
        "id": "2",
        "text": "The cello, since I was six.",
        "speaker": "Ada",
        "timestamp": "2023-05-08T10:00",
        "scope": "c1",
    },
    {"id": "3", "text": "It rains.", "speaker": "Bob", "timestamp": "2023-06-08T10:00", "scope": "c1"},
    {"id": "1", "text": "The oboe.", "speaker": "Eve", "timestamp": None, "scope": "c2"},
]


class Missing(HashEmbedder):
    """As the local embedder is where no package index can be reached."""

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
        raise ModelFilesMissing("no index")


@pytest.fixture(params=[HashEmbedder, Missing])
def finder(request: pytest.FixtureRequest) -> Iterator[Retriever]:
    made = retriever(embedder=request.param())
    made.index(TURNS)
    yield made
    made.close()


def test_a_scope_is_searched_and_no_other(finder: Retriever) -> None:
    assert finder.search("Who plays an instrument?", "c1", 2) == ["1", "2"]
    assert finder.search("oboe", "c1", 5).count("1") <= 1
    assert finder.search("oboe", "c2", 5) == ["1"]
    assert finder.search("oboe", "nowhere", 5) == []


def test_again_with_the_same_id_counts_the_newer_one(finder: Retriever) -> None:
    finder.index([TURNS[2] | {"text": "The sun shines."}])
    assert finder.search("sun", "c1", 1) == ["3"]
    assert len(finder.search("It rains, the sun shines, instrument, cello", "c1", 9)) == 3


def test_another_ranking_needs_no_new_index(finder: Retriever) -> None:
    assert finder.ranked(Ranking(lexical=0.0, dense=0.0)).search("cello", "c1", 1) != []
    assert finder.ranked(DEFAULT).search("cello", "c1", 1) == ["2"]


def test_without_the_model_a_warning_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        retriever(embedder=Missing()).close()
    assert "by their words alone" in caplog.text
    assert "no index" in caplog.text
