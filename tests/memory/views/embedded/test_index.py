"""The index of one tenant: what is left behind, and what becomes of rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aiosv3.memory.views import Entry, Query, VectorUnusable
from aiosv3.memory.views.embedded import DEFAULT
from aiosv3.memory.views.embedded.index import Index


def make(id_: str, text: str, **changes: Any) -> Entry:
    told: dict[str, Any] = {"tenant": "t", "scope": "tenant", "kind": "episode", "content_hash": ""}
    told |= {"id": id_, "text": text, "version": 1, "valid_from": 0, "recorded_at": 0}
    return Entry(**(told | changes))


def found(index: Index, text: str, **asked: Any) -> list[str]:
    return [hit.entry.id for hit in index.search(Query(tenant="t", scopes=["tenant"], text=text, **asked), 0)]


def vector(place: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    numbers = np.full(8, 0.1, np.float32)
    numbers[place] = 1
    return numbers


def test_a_rebuild_changes_no_answer() -> None:
    index = Index(DEFAULT)
    for number in range(40):
        index.put(
            make(
                f"m{number}", f"tea {number % 7}", vector=vector(number % 8), embedder="m", source="s", position=number
            )
        )
    for number in range(0, 40, 3):
        index.remove(f"m{number}")
    query = Query(tenant="t", scopes=["tenant"], text="tea 3", vector=vector(2), embedder="m")
    before = [(hit.entry.id, round(hit.score, 4)) for hit in index.search(query, 0)]
    index.rebuild()
    assert [(hit.entry.id, round(hit.score, 4)) for hit in index.search(query, 0)] == before
    assert index._table.count == len(index) == 26


def test_empty_rows_do_not_pile_up() -> None:
    index = Index(DEFAULT)
    for number in range(2500):
        index.put(make(f"m{number}", "tea"))
    for number in range(2400):
        index.remove(f"m{number}")
    assert index._table.count < 1300
    assert found(index, "tea", k=1) == ["m2400"]


def test_versions_do_not_pile_up() -> None:
    index = Index(DEFAULT)
    for number in range(3000):
        index.put(make("a", f"tea {number}", version=number))
    assert index._table.count < 1500
    assert found(index, "tea") == ["a"]


def test_a_vector_that_does_not_fit_changes_nothing() -> None:
    index = Index(DEFAULT)
    index.put(make("a", "tea", vector=vector(1), embedder="m"))
    with pytest.raises(VectorUnusable):
        index.put(make("a", "milk", vector=np.ones(3, np.float32), embedder="m"))
    with pytest.raises(VectorUnusable):
        index.search(Query(tenant="t", scopes=["tenant"], vector=np.ones(3, np.float32), embedder="m"), 0)
    assert (found(index, "tea"), found(index, "milk")) == (["a"], [])


def test_of_many_at_once_one_that_does_not_fit_changes_nothing() -> None:
    index = Index(DEFAULT)
    index.put(make("a", "tea", vector=vector(1), embedder="m"))
    fits, other = make("b", "milk", vector=vector(2), embedder="m"), make("c", "rum", embedder="m")
    with pytest.raises(VectorUnusable):
        index.put_all([fits, replace(other, vector=np.zeros(3, np.float32), embedder="new")])
    assert (len(index), {name: len(held) for name, held in index._vectors.items()}) == (1, {"m": 1})
    index.put_all([other, replace(fits, id="d")])
    hits = index.search(Query(tenant="t", scopes=["tenant"], vector=vector(2), embedder="m"), 0)
    assert sorted(hit.entry.id for hit in hits) == ["a", "d"], "what has no vector has none of those that were refused"


def test_vectors_go_with_their_memories() -> None:
    index = Index(DEFAULT)
    for number in range(4):
        index.put(make(f"m{number}", "tea", vector=vector(number), embedder="m"))
    index.put(make("m0", "tea", version=2))
    index.remove("m1")
    assert len(index._vectors["m"]) == 2


def test_entries_of_a_subject() -> None:
    index = Index(DEFAULT)
    entry = make("a", "tea", subject="s1")
    index.put(entry)
    index.put(replace(entry, id="b", subject=None))
    assert index.ids("s1") == ["a"]
    index.remove("a")
    assert not index.remove("a")
    assert index.ids("s1") == []
