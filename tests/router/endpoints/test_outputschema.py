"""Structured answers are checked against their schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosv3.router.endpoints.errors import BadRequest
from aiosv3.router.endpoints.outputschema import is_closed, violation

_TICKET: dict[str, Any] = {
    "type": "object",
    "$defs": {"Label": {"enum": ["bug", "billing"]}},
    "properties": {
        "label": {"$ref": "#/$defs/Label"},
        "refund": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 2},
    },
    "required": ["label", "refund"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ('{"label": "bug", "refund": null}', None),
        ('{"label": "bug", "refund": 1.5, "tags": ["a"]}', None),
        ('{"label": "other", "refund": null}', "$.label"),
        ('{"label": "bug"}', "lacks 'refund'"),
        ('{"label": "bug", "refund": -1}', "$.refund"),
        ('{"label": "bug", "refund": "1"}', "$.refund"),
        ('{"label": "bug", "refund": true}', "$.refund"),
        ('{"label": "bug", "refund": 1, "tags": [""]}', "$.tags[0]"),
        ('{"label": "bug", "refund": 1, "tags": ["a", "b", "c"]}', "$.tags"),
        ('{"label": "bug", "refund": 1, "secret": 1}', "does not know"),
        ('{"label": "bug", "refund": NaN}', "not JSON"),
        ('```json\n{"label": "bug", "refund": 1}\n```', "not JSON"),
        ('{"label": "bug", "ref', "not JSON"),
        ("", "empty"),
        ("[]", "type object"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_violations_name_the_place(answer: str, wrong: str | None) -> None:
    found = violation(answer, json.dumps(_TICKET))
    assert found is None if wrong is None else found is not None and wrong in found


def test_a_schema_that_doubles_at_every_level_ends() -> None:
    loop = {"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}}, "$ref": "#/$defs/A"}
    violation("1", json.dumps(loop))


@pytest.mark.parametrize("schema", ["", "[]", "[" * 100_000, '{"$ref": "#/$defs/Nowhere"}', '{"enum": 3}'])
def test_a_schema_that_is_none(schema: str) -> None:
    with pytest.raises(BadRequest):
        violation("{}", schema)


def test_closed_schemas_may_be_strict() -> None:
    closed = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert is_closed(closed)
    assert not is_closed(_TICKET)
    assert not is_closed({"type": "array", "items": {"type": "object", "properties": {"a": {}}}})


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda v: st.lists(v, max_size=3)
)


@settings(deadline=None)
@given(value=_VALUES, schema=st.dictionaries(st.sampled_from(["type", "enum", "items", "anyOf", "required"]), _VALUES))
def test_odd_schemas_raise_nothing_else(value: Any, schema: dict[str, Any]) -> None:
    try:
        violation(json.dumps(value), json.dumps(schema))
    except BadRequest:
        return
