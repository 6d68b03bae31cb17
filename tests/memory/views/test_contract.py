"""The contract of the view port, on every view."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiosv3.memory.views import Change, Entry, Put, Query, Remove, View, ViewUnavailable

DAY = 86_400_000
NOW = 1_700_000_000_000


def make(id_: str, text: str = "", **changes: Any) -> Entry:
    told: dict[str, Any] = {
        "id": id_,
        "version": 1,
        "tenant": "acme",
        "scope": "tenant",
        "kind": "episode",
        "text": text,
        "valid_from": NOW - DAY,
        "recorded_at": NOW - DAY,
        "content_hash": f"hash of {text}",
    }
    return Entry(**(told | changes))


def vector(*numbers: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    found = np.zeros(8, np.float32)
    found[: len(numbers)] = numbers
    return found


async def put(view: View, *entries: Entry) -> None:
    await view.apply([Put(entry) for entry in entries])


async def found(view: View, text: str = "", **asked: Any) -> list[str]:
    query = Query(**({"tenant": "acme", "scopes": ["tenant"], "text": text} | asked))
    return [hit.entry.id for hit in await view.search(query)]


async def test_words_are_found_in_any_form(view: View) -> None:
    await put(view, make("a", "The refunds were approved."), make("b", "Weather in Lisbon"))
    assert await found(view, "who approves a refund?") == ["a"]


async def test_meaning_is_found_without_a_word_in_common(view: View) -> None:
    await put(
        view,
        make("a", "a feline", vector=vector(1, 0.1), embedder="m"),
        make("b", "a stock exchange", vector=vector(0, 1), embedder="m"),
    )
    assert (await found(view, "cat", vector=vector(1), embedder="m"))[0] == "a"


async def test_vectors_of_another_embedder_are_never_compared(view: View) -> None:
    await put(view, make("a", "x", vector=vector(1), embedder="old"))
    assert await found(view, "y", vector=vector(1), embedder="new") == []


async def test_what_was_applied_is_found_by_the_next_search(view: View) -> None:
    for number in range(20):
        await put(view, make(f"m{number}", f"token{number}"))
        assert await found(view, f"token{number}") == [f"m{number}"]


async def test_a_newer_version_replaces_and_an_older_one_is_late(view: View) -> None:
    await put(view, make("a", "green tea", version=2))
    await put(view, make("a", "black coffee", version=1))
    assert await found(view, "coffee") == []
    await put(view, make("a", "mineral water", version=3))
    assert (await found(view, "tea"), await found(view, "water")) == ([], ["a"])


async def test_what_is_applied_at_once_counts_in_its_order(view: View) -> None:
    changes: list[Change] = [
        Put(make("a", "tea", version=1)),
        Put(make("a", "milk", version=3)),
        Put(make("a", "rum", version=2)),
        Put(make("b", "tea", tenant="other")),
        Remove("acme", "c", 4),
        Put(make("c", "tea", version=3)),
        Put(make("d", "tea", version=1)),
        Remove("acme", "d", 2),
    ]
    await view.apply(changes)
    assert (await found(view, "milk"), await found(view, "tea"), await found(view, "rum")) == (["a"], [], [])
    assert await found(view, "tea", tenant="other") == ["b"]
    once = await view.digest("acme")
    for change in changes:
        await view.apply([change])
    assert (once.count, await view.digest("acme")) == (1, once)


async def test_the_same_change_twice_is_one(view: View) -> None:
    await put(view, make("a", "tea"), make("a", "tea"))
    before = await view.digest("acme")
    await put(view, make("a", "tea"))
    assert (before.count, await view.digest("acme")) == (1, before)


async def test_removed_is_not_found_and_a_late_write_does_not_bring_it_back(view: View) -> None:
    await put(view, make("a", "tea", version=1))
    await view.apply([Remove("acme", "a", 2)])
    await put(view, make("a", "tea", version=2))
    assert (await found(view, "tea"), await view.get("acme", ["a"])) == ([], [])
    await put(view, make("a", "tea", version=3))
    assert await found(view, "tea") == ["a"]


async def test_removing_comes_before_what_it_removes(view: View) -> None:
    await view.apply([Remove("acme", "a", 5), Put(make("a", "tea", version=4))])
    assert await found(view, "tea") == []


async def test_removing_the_version_that_is_held(view: View) -> None:
    await put(view, make("a", "tea", version=3))
    await view.apply([Remove("acme", "a", 3)])
    await put(view, make("a", "tea", version=3))
    assert await found(view, "tea") == []


async def test_removing_an_older_version_leaves_the_newer_one(view: View) -> None:
    await put(view, make("a", "tea", version=3))
    await view.apply([Remove("acme", "a", 2)])
    assert await found(view, "tea") == ["a"]


async def test_no_scope_but_those_of_the_asker(view: View) -> None:
    await put(view, make("a", "tea", scope="agent:ada"), make("b", "tea", scope="team:red"), make("c", "tea"))
    assert await found(view, "tea") == ["c"]
    assert sorted(await found(view, "tea", scopes=["tenant", "team:red"])) == ["b", "c"]
    assert await found(view, "tea", scopes=[]) == []


@pytest.mark.differs("Weaviate counts words over all of a tenant, whatever its scope")
async def test_a_score_says_nothing_about_what_may_not_be_read(view: View) -> None:
    await put(view, make("a", "green tea"), make("b", "black coffee"))
    query = Query(tenant="acme", scopes=["tenant"], text="green tea or coffee")
    before = [(hit.entry.id, hit.score) for hit in await view.search(query)]
    hidden = [make(f"h{number}", "green tea tea tea", scope="agent:eve", source="s") for number in range(30)]
    await put(view, *hidden, *(replace(each, tenant="evil", scope="tenant") for each in hidden))
    assert [(hit.entry.id, hit.score) for hit in await view.search(query)] == before


async def test_filters_hold_within_the_search(view: View) -> None:
    """k hits that may be shown are found, however many better ones may not."""
    await put(view, *(make(f"x{number}", "tea tea tea", kind="fact") for number in range(50)))
    await put(view, make("a", "a long story that ends with some tea", kind="procedure"))
    assert await found(view, "tea", kinds=["procedure"], k=1) == ["a"]


async def test_subject_trust_and_sources(view: View) -> None:
    await put(
        view,
        make("a", "tea", subject="s1", trust=2, source="chat"),
        make("b", "tea", subject="s2", trust=1, source="mail"),
        make("c", "tea", trust=0, source="web"),
    )
    assert await found(view, "tea", subject="s1") == ["a"]
    assert await found(view, "tea", min_trust=2) == ["a"]
    assert sorted(await found(view, "tea")) == ["a", "b"]
    assert sorted(await found(view, "tea", min_trust=0)) == ["a", "b", "c"]
    assert await found(view, "tea", without_sources=["chat"]) == ["b"]
    assert await found(view, "tea", sources=["mail", "nowhere"]) == ["b"]


async def test_times(view: View) -> None:
    await put(
        view,
        make("old", "tea", valid_from=NOW - 9 * DAY, valid_to=NOW - 5 * DAY),
        make("new", "tea", valid_from=NOW - 5 * DAY),
    )
    assert await found(view, "tea", at=NOW - 6 * DAY) == ["old"]
    assert await found(view, "tea", at=NOW - 5 * DAY) == ["new"]
    assert await found(view, "tea", since=NOW - 5 * DAY) == ["new"]
    assert await found(view, "tea", until=NOW - 5 * DAY) == ["old"]
    assert sorted(await found(view, "tea", since=NOW - 6 * DAY, until=NOW)) == ["new", "old"]


async def test_the_expired_is_not_shown_but_counted(view: View) -> None:
    await put(view, make("a", "tea", expires_at=NOW), make("b", "tea", expires_at=NOW + 1))
    assert await found(view, "tea") == ["b"]
    assert [entry.id for entry in await view.get("acme", ["a", "b"])] == ["b"]
    assert (await view.digest("acme")).count == 2


async def test_without_words_it_is_a_scan_newest_first(view: View) -> None:
    await put(
        view, *(make(f"m{number}", "x", valid_from=NOW + number, source="s", position=number) for number in range(9))
    )
    assert await found(view, k=3) == ["m8", "m7", "m6"]
    assert await found(view, since=NOW, until=NOW + 2) == ["m8", "m7", "m6", "m5", "m4", "m3", "m2", "m1", "m0"][-2:]
    assert await found(view, sources=["s"], positions=(3, 5)) == ["m5", "m4", "m3"]


async def test_the_last_turns_of_one_source_are_the_last_whenever_they_came(view: View) -> None:
    """A conversation whose turns came in another order than they were said, some at one moment."""
    turns = [
        make(f"t{place}", "x", valid_from=NOW + place // 2, source="chat", position=place, recorded_at=0)
        for place in range(40)
    ]
    await put(view, *turns[20:], make("z", "x", valid_from=NOW + 99, source="mail"), *reversed(turns[:20]))
    assert await found(view, sources=["chat"], k=3) == ["t39", "t38", "t37"]
    assert await found(view, sources=["chat", "chat"], k=1) == ["t39"]
    assert await found(view, sources=["chat"], positions=(0, 20), k=2) == ["t20", "t19"]
    await view.apply([Remove("acme", "t39", 2), Put(replace(turns[38], version=2, text="y"))])
    late = make("t40", "x", valid_from=NOW + 20, source="chat", position=40, trust=0)
    await put(view, replace(turns[37], version=2, source="mail"), late)
    assert await found(view, sources=["chat"], k=2) == ["t38", "t36"]
    assert await found(view, sources=["chat"], min_trust=0, k=1) == ["t40"]
    assert await found(view, sources=["nowhere"]) == []
    assert await found(view, sources=["chat", "mail"], k=1) == ["z"]


@pytest.mark.differs("in Weaviate a neighbour lends no words")
async def test_an_answer_is_found_by_its_question(view: View) -> None:
    await put(
        view,
        make("q", "Which instrument do you play?", source="chat", position=4),
        make("a", "The cello, since I was six.", source="chat", position=5),
        make("0", "Hello, how are you?", source="chat", position=0),
        make("z", "The cello was sold.", source="other", position=5),
    )
    assert (await found(view, "instrument"))[:2] == ["q", "a"]
    assert "z" not in await found(view, "instrument")


async def test_a_hidden_neighbour_lends_nothing(view: View) -> None:
    await put(
        view,
        make("q", "Which instrument do you play?", source="chat", position=4, scope="agent:eve"),
        make("a", "The cello, since I was six.", source="chat", position=5),
    )
    assert await found(view, "instrument") == []


@pytest.mark.differs("Weaviate knows words and meaning, no names, dates and newness")
async def test_the_parts_of_a_score_add_up(view: View) -> None:
    await put(
        view,
        make("a", "tea with Ada in May", speaker="Ada", vector=vector(1), embedder="m", source="s", importance=1.0),
        make("b", "tea", speaker="Bob", vector=vector(0, 1), embedder="m"),
    )
    query = Query(
        tenant="acme", scopes=["tenant"], text="Ada's tea on 13 November 2023", vector=vector(1), embedder="m"
    )
    hits = await view.search(query)
    assert [hit.entry.id for hit in hits] == ["a", "b"]
    for hit in hits:
        assert sum(hit.parts) == pytest.approx(hit.score)
    assert all(part > 0 for part in hits[0].parts)


async def test_equal_scores_are_ordered_by_id(view: View) -> None:
    await put(view, *(make(id_, "tea") for id_ in "dbca"))
    assert await found(view, "tea", k=3) == ["a", "b", "c"]


async def test_diversity_shows_what_says_something_else(view: View) -> None:
    await put(
        view,
        make("a", "tea ceremony", vector=vector(1, 0.1), embedder="m"),
        make("b", "tea ceremony", vector=vector(1, 0.1), embedder="m"),
        make("c", "tea tax", vector=vector(0.5, 0.8), embedder="m"),
    )
    asked: dict[str, Any] = {"vector": vector(1), "embedder": "m", "k": 2}
    assert await found(view, "tea ceremony", **asked) == ["a", "b"]
    assert await found(view, "tea ceremony", diversity=0.8, **asked) == ["a", "c"]


async def test_the_digest_knows_no_order(view: View) -> None:
    entries = [make(f"m{number}", f"text {number}") for number in range(5)]
    await put(view, *entries)
    first = await view.digest("acme")
    await put(view, *(replace(entry, tenant="other") for entry in reversed(entries)))
    assert await view.digest("other") == first
    newer = replace(entries[0], version=2, content_hash="another")
    await put(view, newer, *(replace(entry, tenant="short") for entry in [*entries[1:], newer]))
    assert (await view.digest("acme")).hash != first.hash
    assert await view.digest("acme") == await view.digest("short"), "older versions leave a trace"
    await view.apply([Remove("other", entry.id, 9) for entry in entries])
    assert await view.digest("other") == await view.digest("nobody")
    assert (await view.digest("nobody")).count == 0


async def test_purging_a_subject_or_ids(view: View) -> None:
    await put(view, make("a", "tea", subject="s1"), make("b", "tea", subject="s2"), make("c", "tea"))
    await put(view, make("a", "tea", tenant="other", subject="s1"))
    assert await view.purge("acme", subject="s1") == 1
    assert await view.purge("acme", ids=["c", "nothing"]) == 1
    assert (await found(view, "tea"), await found(view, "tea", tenant="other")) == (["b"], ["a"])
    await put(view, make("a", "tea", subject="s1"))
    assert await found(view, "tea") == ["b"], "a late write of what was purged"


async def test_entries_come_back_as_they_went_in_but_for_the_vector(view: View) -> None:
    whole = make(
        "a", "tea", speaker="Ada", subject="s", vector=vector(1), embedder="m", source="x", position=3, offset=7
    )
    await put(view, whole)
    (got,) = await view.get("acme", ["a", "a", "nothing"])
    for name in Entry.__slots__:
        assert name == "vector" or getattr(got, name) == getattr(whole, name)


async def test_a_closed_view_says_so(view: View) -> None:
    await view.close()
    await view.close()
    with pytest.raises(ViewUnavailable):
        await view.search(Query(tenant="acme", scopes=["tenant"], text="tea"))


HOSTILE = st.sampled_from(["acme", "acme:x", "acme\0x", "ACME", "", "a", "*", "acme' OR '1'='1", "t\u00e9", "te\u0301"])
SCOPES = st.sampled_from(["tenant", "agent:a", "agent:a,b", "agent:", "team:*", "tenant ", "agent:a\0"])
MEMORY = st.tuples(HOSTILE, SCOPES, HOSTILE, st.sampled_from(["s", "s\0", ""]), st.integers(0, 3), st.booleans())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(MEMORY, max_size=25), HOSTILE, st.lists(SCOPES, max_size=2), st.booleans())
async def test_never_a_memory_of_another_tenant_or_scope(
    view: View, memories: list[tuple[str, str, str, str, int, bool]], tenant: str, scopes: list[str], scan: bool
) -> None:
    await put(
        view,
        *(
            make(f"{id_}{scope}", "tea", tenant=owner, scope=scope, source=source, position=position)
            if plain
            else make(id_, "tea", tenant=owner, scope=scope, vector=vector(1), embedder="m", source=source)
            for owner, scope, id_, source, position, plain in memories
        ),
    )
    asked = {"vector": vector(1), "embedder": "m", "text": "tea"} if not scan else {}
    hits = await view.search(Query(tenant=tenant, scopes=scopes, k=100, **asked))  # type: ignore[arg-type]
    assert {(hit.entry.tenant, hit.entry.scope) for hit in hits} <= {(tenant, scope) for scope in scopes}
