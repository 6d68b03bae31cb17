from __future__ import annotations

import json

import pytest

from aiosv3.app.localstack.catalog import Catalog, RegistryError, canonical, parse, setting_record


def _schema(name: str = "A", **more: object) -> str:
    return json.dumps({"type": "record", "name": name, "fields": [], **more})


def test_a_draft_changes_nothing_until_it_is_applied() -> None:
    catalog = Catalog()
    draft = catalog.draft("a", _schema(), None)
    assert not catalog.holds(draft)
    assert catalog.subjects() == []
    catalog.apply(*draft.record())
    assert catalog.holds(draft)
    assert catalog.draft("a", _schema(), None) == draft


def test_counted_ids_stay_below_released_and_minted_ones() -> None:
    catalog = Catalog([(1_094_000_001, _schema("R")), (1_200_000_000, _schema("M"))])
    assert catalog.draft("a", _schema(), None).id == 1
    assert catalog.draft("a", _schema("M"), None).id == 1_200_000_000


def test_spaces_documentation_and_the_order_of_keys_do_not_count() -> None:
    assert canonical(_schema(doc="x")) == canonical('{"fields":[],"name":"A","type":"record"}')
    assert canonical(_schema()) != canonical(_schema(aliases=["B"]))


@pytest.mark.parametrize("text", ["", "{", "7", "null", '"A"', '{"type": "enum", "name": "E"}'])
def test_what_is_no_schema_is_42201(text: str) -> None:
    with pytest.raises(RegistryError) as caught:
        parse(text)
    assert (caught.value.status, caught.value.code) == (422, 42201)


def test_settings_come_and_go() -> None:
    catalog = Catalog()
    catalog.apply(*setting_record("CONFIG", "a", {"compatibilityLevel": "NONE"}))
    assert (catalog.level("a"), catalog.level("b")) == ("NONE", "BACKWARD_TRANSITIVE")
    catalog.apply(*setting_record("CONFIG", "a", None))
    assert (catalog.own_level("a"), catalog.level("a")) == (None, "BACKWARD_TRANSITIVE")
