from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from aiosv3.app.localstack.catalog import LEVELS, Catalog, Entry, RegistryError, Version, mark

X = {"name": "x", "type": "int"}
Y = {"name": "y", "type": "string", "default": ""}
Z = {"name": "z", "type": "int"}


def schema(*fields: dict[str, str], **more: object) -> str:
    return json.dumps({"type": "record", "name": "A", "fields": list(fields), **more})


def apply(catalog: Catalog, entries: list[Entry]) -> None:
    for entry in entries:
        catalog.apply(*entry)


def refusal(call: Callable[[], object]) -> int:
    with pytest.raises(RegistryError) as caught:
        call()
    return caught.value.code


def test_a_change_is_decided_first_and_holds_once_it_is_applied() -> None:
    catalog = Catalog()
    entries = catalog.register("a", schema(X))
    assert catalog.subjects() == []
    apply(catalog, entries)
    assert catalog.versions("a") == [Version("a", 1, 1, schema(X))]
    assert catalog.register("a", schema(X)) == []


def compacted(entries: list[Entry]) -> list[Entry]:
    """What compaction leaves at last: of each key the last entry, in its place."""
    return [entry for place, entry in enumerate(entries) if all(entry[0] != later[0] for later in entries[place + 1 :])]


@pytest.mark.parametrize("wanted_id", [None, 1_200_000_001])
def test_of_two_entries_for_one_version_the_first_counts(wanted_id: int | None) -> None:
    """Registries that share a topic decide at once; a restart after compaction must see what they have answered."""
    one, two = Catalog(), Catalog()
    topic = one.register("a", schema(X)) + two.register("a", schema(X, name="B"), wanted_id)
    apply(one, topic)
    apply(two, topic)
    topic += two.register("a", schema(X, Y))
    apply(one, topic[2:])
    topic += one.delete(one.versions("a")[:1])
    for order in (topic, compacted(topic)):
        restarted = Catalog()
        apply(restarted, order)
        assert [version.schema for version in restarted.versions("a", deleted=True)] == [schema(X), schema(X, Y)]
        assert [version.version for version in restarted.versions("a")] == [2]
        assert restarted.schema("1") == schema(X)


def test_of_two_entries_for_one_id_the_first_counts() -> None:
    catalog = Catalog()
    apply(catalog, catalog.register("a", schema(X)) + catalog.register("b", schema(Z)))
    assert catalog.subjects() == ["a"]
    apply(catalog, catalog.register("b", schema(Z)))
    assert catalog.version("b", "1").id == 2


def test_counted_ids_stay_below_released_and_minted_ones() -> None:
    catalog = Catalog([(1_094_000_001, schema(name="R")), (1_200_000_000, schema(name="M"))])
    apply(catalog, catalog.register("a", schema(name="M")))
    assert catalog.version("a", "latest").id == 1_200_000_000
    apply(catalog, catalog.register("b", schema()))
    assert catalog.version("b", "latest").id == 1
    assert catalog.schema("1094000001") == schema(name="R")


def test_a_wanted_id_is_given_unless_it_is_taken() -> None:
    catalog = Catalog()
    apply(catalog, catalog.register("a", schema(X), 1_200_000_900))
    assert catalog.version("a", "1").id == 1_200_000_900
    assert refusal(lambda: catalog.register("b", schema(Z), 1_200_000_900)) == 42205
    for nothing in (None, 0, -1, "7"):
        apply(catalog, catalog.register(f"none {nothing}", schema(Z), nothing))
        assert catalog.version(f"none {nothing}", "1").id == 1


def test_documentation_spaces_and_the_order_of_keys_do_not_count() -> None:
    assert mark(schema(doc="x")) == mark('{"fields":[],"name":"A","type":"record"}')
    assert mark(schema()) != mark(schema(aliases=["B"]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "7",
        "null",
        '"A"',
        '{"type": "record", "name": "A"}',
        '{"type": "nonsense"}',
        '{"type": "enum", "name": "E"}',
        "[" * 100_000,
    ],
)
def test_what_is_no_schema_is_42201(text: str) -> None:
    assert refusal(lambda: mark(text)) == 42201
    assert refusal(lambda: Catalog().register("a", text)) == 42201
    assert refusal(lambda: Catalog().conflicts("a", text, [])) == 42201


@pytest.mark.parametrize(
    ("level", "added", "taken", "added_default"),
    [
        ("NONE", True, True, True),
        ("BACKWARD", False, True, True),
        ("FORWARD", True, False, True),
        ("FULL", False, False, True),
    ],
)
def test_levels(level: str, added: bool, taken: bool, added_default: bool) -> None:
    catalog = Catalog()
    apply(catalog, catalog.register("a", schema(X)) + catalog.set_level(level, "a"))

    for text, allowed in ((schema(X, Z), added), (schema(), taken), (schema(X, Y), added_default)):
        if allowed:
            assert len(catalog.register("a", text)) == 1
        else:
            assert refusal(partial(catalog.register, "a", text)) == 409


def test_a_transitive_level_looks_at_all_versions() -> None:
    catalog = Catalog()
    apply(catalog, catalog.register("a", schema()))
    apply(catalog, catalog.register("a", schema(Y)))
    without_default = schema({"name": "y", "type": "string"})
    apply(catalog, catalog.set_level("BACKWARD"))
    assert catalog.register("a", without_default) != []
    apply(catalog, catalog.set_level("BACKWARD_TRANSITIVE"))
    with pytest.raises(RegistryError, match=r"'a': y: a field without default was added \(version 1\)"):
        catalog.register("a", without_default)


def test_levels_of_a_subject_and_of_all() -> None:
    catalog = Catalog()
    assert catalog.level() == "BACKWARD_TRANSITIVE"
    assert refusal(lambda: catalog.level("a")) == 40408
    apply(catalog, catalog.set_level("NONE", "a"))
    assert (catalog.level("a"), catalog.level()) == ("NONE", "BACKWARD_TRANSITIVE")
    assert catalog.set_level("NONE", "a") == []
    for level in LEVELS:
        apply(catalog, catalog.set_level(level))
        assert catalog.level() == level
    nothings: list[Any] = ["SOME", None, []]
    for nothing in nothings:
        assert refusal(partial(catalog.set_level, nothing)) == 42203


def test_a_deleted_subject_keeps_its_ids_and_numbers() -> None:
    catalog = Catalog()
    apply(catalog, catalog.register("a", schema(X)))
    doomed = catalog.versions("a")
    deletion = catalog.delete(doomed)
    apply(catalog, deletion)
    assert catalog.subjects() == []
    assert catalog.delete(doomed) == []
    assert catalog.schema("1") == schema(X)
    apply(catalog, catalog.register("a", schema(Z)))
    assert [version.version for version in catalog.versions("a")] == [2]
    assert [version.version for version in catalog.versions("a", deleted=True)] == [1, 2]


def test_a_deletion_is_known_however_the_topic_was_compacted() -> None:
    catalog = Catalog()
    entries = catalog.register("a", schema(X))
    apply(catalog, entries)
    deletion = catalog.delete(catalog.versions("a"))
    for order in ([*entries, *deletion], [*deletion, *entries], deletion):
        again = Catalog()
        apply(again, order)
        assert again.subjects() == []
        assert again.schema("1") == schema(X)


def test_what_it_does_not_know_is_refused_by_number() -> None:
    catalog = Catalog()
    assert refusal(lambda: catalog.versions("a")) == 40401
    apply(catalog, catalog.register("a", schema(X)))
    assert refusal(lambda: catalog.version("a", "2")) == 40402
    assert refusal(lambda: catalog.version("a", "first")) == 42202
    assert refusal(lambda: catalog.find("a", schema(Z))) == 40403
    assert refusal(lambda: catalog.schema("2")) == 40403
    assert refusal(lambda: catalog.schema("9" * 5000)) == 40403


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("{}", None),
        ("{", "{}"),
        ("7", None),
        ('{"keytype": "NOOP", "magic": 0}', None),
        ('{"keytype": "MODE", "subject": "a"}', '{"mode": "IMPORT"}'),
        ('{"keytype": "CONFIG", "subject": "a"}', None),
        ('{"keytype": "SCHEMA", "subject": "a", "version": 1}', None),
        (
            '{"keytype": "SCHEMA", "subject": "a", "version": 1}',
            '{"subject": "a", "version": 1, "id": 1, "schemaType": "JSON", "schema": "{}", "deleted": false}',
        ),
    ],
)
def test_entries_of_other_registries_are_passed_over(key: str, value: str | None) -> None:
    catalog = Catalog()
    catalog.apply(key, value)
    assert catalog.subjects() == []
    assert catalog.level() == "BACKWARD_TRANSITIVE"


def test_entries_as_confluent_writes_them_are_read() -> None:
    catalog = Catalog()
    content = {"subject": "a", "version": 1, "id": 7, "schema": schema(X), "deleted": False}
    key = {"keytype": "SCHEMA", "subject": "a", "version": 1, "magic": 1}
    catalog.apply(json.dumps(key).encode(), json.dumps(content).encode())
    assert catalog.version("a", "latest") == Version("a", 1, 7, schema(X))
    catalog.apply(json.dumps(key), json.dumps({**content, "deleted": True}))
    assert catalog.subjects() == []
