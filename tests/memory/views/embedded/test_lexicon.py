"""BM25 over what may be seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from aiosv3.memory.views import Entry
from aiosv3.memory.views.embedded.lexicon import Lexicon, Seen
from aiosv3.memory.views.embedded.links import Links, Walks
from aiosv3.memory.views.embedded.ranking import Nearness, Ranking
from aiosv3.memory.views.embedded.table import Table

RANKING = Ranking(k1=1.2, b=0.75, words_near=Nearness((), ()))


def scores(
    texts: list[str], query: str, visible: list[bool] | None = None, sources: list[int] | None = None
) -> list[float]:
    lexicon = Lexicon()
    for row, text in enumerate(texts):
        lexicon.add(row, text.split())
    seen = np.array(visible or [True] * len(texts))
    table = Table()
    for row in range(len(texts)):
        told: dict[str, Any] = {"tenant": "t", "scope": "x", "kind": "k", "text": "", "content_hash": ""}
        table.put(Entry(id=str(row), version=1, valid_from=0, recorded_at=0, **told))
    links = Links(Walks(table, seen), RANKING.words_near, np.ones(len(texts)))
    where = np.array(sources or [-1] * len(texts), np.int32)
    near, whole = lexicon.scores(query.split(), Seen.of(seen, lexicon.lengths(), links, where), RANKING)
    return [float(score) for score in (near if sources is None else whole)]


def test_the_formula() -> None:
    found = scores(["tea tea milk", "milk", "water and wine"], "tea milk")
    mean = 7 / 3
    tea = math.log1p(2.5 / 1.5) * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / mean))
    milk = math.log1p(1.5 / 2.5) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 3 / mean))
    assert found[0] == pytest.approx(tea + milk)
    assert found[1] == pytest.approx(math.log1p(1.5 / 2.5) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 1 / mean)))
    assert found[2] == 0


def test_a_term_twice_in_the_query_counts_twice() -> None:
    assert scores(["tea", "milk"], "tea tea")[0] == pytest.approx(2 * scores(["tea", "milk"], "tea")[0])


def test_the_hidden_changes_no_number() -> None:
    alone = scores(["tea milk", "milk"], "tea milk")
    assert scores(["tea milk", "milk", "tea tea tea"], "tea milk", [True, True, False]) == pytest.approx([*alone, 0])


def test_a_source_is_scored_as_one_text() -> None:
    found = scores(["tea", "milk", "water", "wine"], "tea milk", sources=[0, 0, 1, -1])
    assert found[0] == found[1] > 0
    assert found[2:] == [0, 0]


def test_what_is_removed_is_gone() -> None:
    lexicon = Lexicon()
    for row in range(3):
        lexicon.add(row, ["tea", f"secret{row}", "tea"])
    lexicon.remove(1, ["tea", "secret1", "tea"])
    assert "secret1" not in lexicon._postings
    assert [packed >> 32 for packed in lexicon._postings["tea"]] == [0, 2]
    assert lexicon.lengths().tolist() == [3, 0, 3]
    lexicon.add(5, ["tea"])
    assert lexicon.lengths().tolist() == [3, 0, 3, 0, 0, 1]
