"""One search: what speaks for a memory besides its words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from aiosv3.memory.views import Entry, Hit, Query
from aiosv3.memory.views.embedded import DEFAULT
from aiosv3.memory.views.embedded.index import Index

DAY = 86_400_000
NOW = 1_700_000_000_000


def make(id_: str, text: str, **changes: Any) -> Entry:
    told: dict[str, Any] = {"tenant": "t", "scope": "tenant", "kind": "episode", "content_hash": ""}
    told |= {"id": id_, "text": text, "version": 1, "valid_from": 0, "recorded_at": 0}
    return Entry(**(told | changes))


def search(entries: list[Entry], text: str, **asked: Any) -> list[Hit]:
    index = Index(DEFAULT)
    for entry in entries:
        index.put(entry)
    return index.search(Query(tenant="t", scopes=["tenant"], text=text, **asked), NOW)


def order(entries: list[Entry], text: str, **asked: Any) -> list[str]:
    return [hit.entry.id for hit in search(entries, text, **asked)]


def test_the_speaker_who_is_named() -> None:
    entries = [make("a", "I like tea, Bob", speaker="Ada Byron"), make("b", "I like tea, Ada", speaker="Bob")]
    assert order(entries, "What does Bob like?")[0] == "b"
    assert order(entries, "What does Ada like?")[0] == "a"
    assert {hit.parts.named for hit in search(entries, "What do Ada and Bob like?")} == {0.0}


def test_the_asker_is_the_user() -> None:
    entries = [make("a", "tea", speaker="assistant"), make("u", "tea", speaker="user")]
    assert order(entries, "Which tea do I like?") == ["u", "a"]
    assert {hit.parts.named for hit in search(entries, "tea")} == {0.0}


def test_what_was_said_on_the_date() -> None:
    entries = [make("a", "tea", valid_from=NOW), make("b", "tea", valid_from=NOW - 60 * DAY)]
    assert order(entries, "tea on 14 November 2023") == ["a", "b"]
    assert order(entries, "tea on 15 September 2023") == ["b", "a"]


def test_the_new_and_the_important() -> None:
    entries = [make("a", "tea", valid_from=NOW - 90 * DAY), make("b", "tea", valid_from=NOW)]
    assert order(entries, "tea") == ["b", "a"]
    assert order([replace(entries[0], importance=0.5), entries[1]], "tea") == ["a", "b"]


def test_a_conversation_about_it_counts_for_its_turns() -> None:
    entries = [
        make("a", "the tea is good", source="s", position=0),
        make("b", "the tea is good", source="t", position=0),
    ]
    entries += [make(f"x{number}", "tea again", source="t", position=number) for number in range(9, 14)]
    assert order(entries, "is the tea good")[0] == "b"


def test_many_memories_are_compared_by_their_signs_first() -> None:
    random = np.random.default_rng(1)
    index = Index(DEFAULT)
    numbers = random.standard_normal((3000, 64), np.float32)
    for number, vector in enumerate(numbers):
        index.put(make(f"m{number}", f"word{number}", vector=vector, embedder="m"))
    asked = Query(tenant="t", scopes=["tenant"], text="word7", vector=numbers[2500], embedder="m", k=2)
    assert {hit.entry.id for hit in index.search(asked, NOW)} == {"m7", "m2500"}


def test_diversity_without_vectors_goes_by_words() -> None:
    entries = [make("a", "green tea leaves"), make("b", "green tea leaves"), make("c", "green tax law")]
    assert order(entries, "green tea", k=2, diversity=0.9) == ["a", "c"]


def test_nothing_in_common_is_nothing_found() -> None:
    assert order([make("a", "tea")], "steel") == []
    assert order([make("a", "tea")], "tea", k=0) == []
