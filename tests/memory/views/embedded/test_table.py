"""Rows of a tenant: given out once, linked to their neighbours, filtered."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosv3.memory.views import Entry, Query
from aiosv3.memory.views.embedded.table import Names, Table


def make(id_: str, **changes: Any) -> Entry:
    told: dict[str, Any] = {"tenant": "t", "scope": "tenant", "kind": "episode", "text": "", "content_hash": ""}
    told |= {"id": id_, "version": 1, "valid_from": 0, "recorded_at": 0}
    return Entry(**(told | changes))


def test_names_have_numbers() -> None:
    names = Names()
    column = np.array([names.number(name) for name in ("a", None, "b", "a")])
    assert names.among(["a", "nothing"], column).tolist() == [True, False, False, True]
    assert names.among([], column).tolist() == [False] * 4
    assert (len(names), dict(names)) == (2, {"a": 0, "b": 1})


def test_rows_are_given_out_once() -> None:
    table = Table()
    assert [table.put(make(f"m{number}")) for number in range(200)] == list(range(200))
    assert table.remove("m7") == 7
    assert (table.put(make("m7")), table.row("m7"), len(table), table.count) == (200, 200, 200, 201)
    assert [entry.id for entry in table.held()][-1] == "m7"


def test_an_empty_row_meets_no_query() -> None:
    table = Table()
    table.put(make("a"))
    table.remove("a")
    assert not table.visible(Query(tenant="t", scopes=["tenant"], min_trust=0), 0).any()


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.sampled_from(["s", "t", ""])), max_size=40))
def test_neighbours_are_those_at_the_next_position(steps: list[tuple[bool, int, str]]) -> None:
    """After any order of putting and removing, links are what the rows that are left say."""
    table = Table()
    held: dict[str, tuple[str, int, int]] = {}
    for adds, position, source in steps:
        id_ = f"{source}{position}"
        if id_ in held:
            table.remove(id_)
            del held[id_]
        if adds:
            held[id_] = (source, position, table.put(make(id_, source=source, position=position)))
    rows = {(source, position): row for source, position, row in held.values() if source}
    for source, position, row in held.values():
        for name, step in (("before", -1), ("after", 1)):
            assert table.column(name)[row] == rows.get((source, position + step), -1) if source else -1
