"""What neighbours give each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiosv3.memory.views import Entry
from aiosv3.memory.views.embedded.links import Links, Walks
from aiosv3.memory.views.embedded.ranking import Nearness
from aiosv3.memory.views.embedded.table import Table

NEAR = Nearness(before=(0.5, 0.25), after=(0.1,))


def links(visible: list[bool], takes: float = 1.0, source: str = "s") -> Links:
    table = Table()
    for number in range(len(visible)):
        told: dict[str, Any] = {"tenant": "t", "scope": "x", "kind": "k", "text": "", "content_hash": ""}
        told |= {"version": 1, "valid_from": 0, "recorded_at": 0}
        table.put(Entry(id=str(number), source=source, position=number, **told))
    return Links(Walks(table, np.array(visible)), NEAR, np.full(len(visible), takes))


def test_words_count_for_those_after_and_before() -> None:
    spread = links([True] * 5).spread(np.array([2]), np.array([4.0]))
    assert spread.tolist() == pytest.approx([0, 0.4, 4, 2, 1])


def test_a_long_text_takes_less() -> None:
    assert links([True] * 3, takes=0.5).spread(np.array([0]), np.array([4.0])).tolist() == pytest.approx([4, 1, 0.5])


def test_nothing_goes_to_or_through_the_hidden() -> None:
    spread = links([True, True, False, True, True]).spread(np.array([1]), np.array([1.0]))
    assert spread.tolist() == pytest.approx([0.1, 1, 0, 0, 0])


def test_without_a_source_there_are_no_neighbours() -> None:
    assert links([True] * 3, source="").spread(np.array([1]), np.array([1.0])).tolist() == [0, 1, 0]


def test_gathering_is_spreading_seen_from_the_other_side() -> None:
    chain = links([True] * 6, takes=0.7)
    values = np.arange(6.0)
    rows = np.array([0, 3, 5])
    assert chain.widened(values) == pytest.approx(chain.spread(np.arange(6), values))
    assert chain.gather(rows, values) == pytest.approx(chain.spread(np.arange(6), values)[rows])


def test_around_and_shares() -> None:
    chain = links([True] * 6)
    assert chain.around(np.array([3])).tolist() == [1, 2, 3, 4]
    sums, squares = chain.shares(np.array([0, 3]))
    assert sums.tolist() == pytest.approx([1.1, 1.85])
    assert squares.tolist() == pytest.approx([1.01, 1 + 0.25 + 0.0625 + 0.01])
