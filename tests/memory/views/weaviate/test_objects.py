"""Versions of memories as objects: what is written, what counts, what comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.memory.views import Entry, Put, Remove
from aiosv3.memory.views.weaviate.objects import (
    NEVER,
    Order,
    Stored,
    entry_of,
    key,
    losers,
    newest,
    object_of,
    order_of,
    stored_of,
    tenant_key,
    vector_name,
)

ENTRY = Entry("a", 1, "acme", "tenant", "fact", "The refunds were approved", 0, 0, "hash")


def told(change: Put | Remove) -> tuple[Any, dict[str, Any]]:
    made = object_of("a", change)
    return made.uuid, dict(made.properties or {})


def test_each_version_is_an_object_of_its_own() -> None:
    versions: list[Put | Remove] = [
        Put(ENTRY),
        Put(replace(ENTRY, version=2)),
        Remove("acme", "a", 1),
        Remove("acme", "a", 2),
    ]
    assert len({told(change)[0] for change in versions}) == 4
    assert told(Put(ENTRY))[0] == told(Put(replace(ENTRY, text="anything")))[0], "written twice it is one"
    assert object_of("b", Put(ENTRY)).uuid != object_of("a", Put(ENTRY)).uuid


def test_what_is_removed_says_nothing() -> None:
    assert told(Remove("acme", "a", 3))[1] == {"memory": key("a"), "version": 3, "gone": True}


def test_an_entry_comes_back_and_its_vector_is_its_embedder_s() -> None:
    whole = replace(ENTRY, vector=np.ones(2, np.float32), embedder="m", subject="s", expires_at=9, text="a\0\u00e9")
    made = object_of("a", Put(whole))
    back = entry_of(made.properties or {})
    assert all(getattr(back, name) == getattr(whole, name) for name in Entry.__slots__ if name != "vector")
    assert made.vector == {vector_name("m"): [1.0, 1.0]}
    assert (made.properties or {})["expires_at"] == 9
    assert told(Put(ENTRY))[1]["expires_at"] == NEVER
    assert told(Put(ENTRY))[1]["terms"] == "refund approv"


@given(st.text(), st.text())
def test_names_that_differ_have_keys_that_differ_and_a_tenant_s_fits_the_server(one: str, other: str) -> None:
    assert (key(one) == key(other)) == (one == other)
    assert tenant_key(one).isalnum()
    assert tenant_key(one).isascii()
    assert 4 <= len(tenant_key(one)) <= 64


CHANGES = st.builds(
    lambda id_, version, gone: Remove("acme", id_, version) if gone else Put(replace(ENTRY, id=id_, version=version)),
    st.sampled_from("ab"),
    st.integers(0, 5),
    st.booleans(),
)


@given(st.lists(CHANGES))
def test_of_changes_the_highest_counts_and_a_removal_before_a_put(changes: list[Put | Remove]) -> None:
    highest: dict[str, Order] = {}
    for change in changes:
        id_ = change.entry.id if isinstance(change, Put) else change.id
        highest[id_] = max(order_of(change), highest.get(id_, (-1, False)))
    found = newest(changes).get("acme", {})
    assert {id_: order_of(change) for id_, change in found.items()} == highest


@given(st.lists(CHANGES, unique_by=order_of))
def test_all_but_the_highest_version_lose(changes: list[Put | Remove]) -> None:
    stored: list[Stored] = []
    for change in changes:
        uuid, properties = told(change)
        stored.append(stored_of(uuid, properties))
    lost = set(losers(stored))
    kept = [one for one in stored if one.uuid not in lost]
    assert kept == [max(stored, key=lambda one: one.order)] if stored else kept == []
