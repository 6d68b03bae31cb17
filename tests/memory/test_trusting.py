"""What is in quarantine is found only where it is asked for, and k hits are k hits."""

from __future__ import annotations

from dataclasses import replace

from aiosv3.memory.trusting import Suspects, search
from aiosv3.memory.views.embedded import EmbeddedView
from aiosv3.memory.views.port import Entry, Put, Query


async def test_k_that_may_be_shown_are_found_behind_those_that_may_not() -> None:
    view = EmbeddedView()
    entries = [
        Entry(f"{number:02}", 1, "acme", "tenant@public", "chunk", "the same words", number, number, "h", source=source)
        for number, source in enumerate(["bad", "bad", "good", "good", "good", "good"])
    ]
    await view.apply([Put(entry) for entry in entries])
    suspects = Suspects(frozenset({"bad"}), frozenset({"02", "04"}))
    query = Query("acme", ["tenant@public"], "words", k=2)
    assert {hit.entry.id for hit in await search(view, query, suspects)} == {"03", "05"}
    assert len(await search(view, query, Suspects())) == 2
    scan = Query("acme", ["tenant@public"], k=9, min_trust=0)
    found = {hit.entry.id: hit.entry.trust for hit in await search(view, scan, suspects)}
    assert found == {"00": 0, "01": 0, "02": 0, "03": 1, "04": 0, "05": 1}
    assert [hit.entry.id for hit in await search(view, Query("acme", ["tenant@public"], k=9), suspects)] == ["05", "03"]
    await view.close()


async def test_of_some_memories_k_are_found_however_many_are_before_them() -> None:
    view = EmbeddedView()
    entries = [
        Entry(f"{number:03}", 1, "acme", "tenant@public", "fact", f"the words {number}", number, number, "h")
        for number in range(100)
    ]
    await view.apply([Put(entry) for entry in entries])
    query = Query("acme", ["tenant@public"], "words", k=2)

    async def found(*only: str) -> set[str]:
        return {hit.entry.id for hit in await search(view, query, Suspects(ids=frozenset({"004"})), frozenset(only))}

    every = [hit.entry.id for hit in await search(view, replace(query, k=100), Suspects())]
    assert await found(*every[-3:]) == set(every[-3:-1])
    assert await found("004", "none") == set()
    assert await found() == set()
    await view.close()
