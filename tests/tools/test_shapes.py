from __future__ import annotations

import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosv3.tools.shapes import Unfit, check

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
        "friends": {"type": "array", "items": {"$ref": "#/$defs/p"}, "maxItems": 2},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"p": {"type": "object", "required": ["name"]}},
}


@pytest.mark.parametrize("value", [{"name": "a"}, {"name": "a", "age": None, "friends": [{"name": "b"}]}])
def test_what_fits(value: Any) -> None:
    check(value, PERSON)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "value: not of type object"),
        ({}, "'name' is missing"),
        ({"name": ""}, r"\.name: minLength is 1"),
        ({"name": "a", "age": -1}, r"\.age: fits none of 2 shapes"),
        ({"name": "a", "friends": [{}]}, r"\.friends\[0\]: 'name' is missing"),
        ({"name": "a", "friends": [{"name": 1}] * 3}, r"\.friends: maxItems is 2"),
        ({"name": "a", "more": 1}, r"\.more: there is no such property"),
    ],
)
def test_what_does_not_fit_is_told_by_its_place(value: Any, words: str) -> None:
    with pytest.raises(Unfit, match=words):
        check(value, PERSON)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "bb"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)
kinds = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
schemas = st.recursive(
    st.booleans()
    | st.fixed_dictionaries({}, optional={"type": kinds | st.lists(kinds, min_size=1, max_size=2, unique=True)})
    | st.fixed_dictionaries({"enum": st.lists(json_values, min_size=1, max_size=3)})
    | st.fixed_dictionaries({"const": json_values})
    | st.fixed_dictionaries({"minimum": st.integers(-2, 2)})
    | st.fixed_dictionaries({"maxLength": st.integers(0, 2)}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
            "required": st.lists(st.sampled_from("xyz"), max_size=2, unique=True),
            "additionalProperties": inner,
            "items": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=100)
@given(schemas, json_values)
def test_it_says_what_the_whole_validator_says(schema: Any, value: Any) -> None:
    expected = jsonschema.Draft202012Validator(schema).is_valid(value)
    try:
        check(value, schema)
        fits = True
    except Unfit:
        fits = False
    assert fits == expected


def _bomb() -> dict[str, Any]:
    definitions: dict[str, Any] = {"d0": {"type": "string"}}
    for level in range(1, 60):
        definitions[f"d{level}"] = {"allOf": [{"$ref": f"#/$defs/d{level - 1}"}] * 2}
    return {"$ref": "#/$defs/d59", "$defs": definitions}


@pytest.mark.parametrize(
    "schema",
    [
        _bomb(),
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"pattern": "^(a+)+$"},
        {"$ref": "http://example.com/schema"},
        {"$ref": "#/$defs/none"},
        {"type": [{"a": 1}], "required": [["x"]], "enum": 7, "minimum": "x", "properties": 3},
    ],
    ids=["bomb", "loop", "two loops", "pattern", "elsewhere", "nowhere", "nonsense"],
)
def test_a_hostile_schema_costs_little(schema: Any) -> None:
    began = time.process_time()
    for value in ("a" * 40 + "!", {"x": 1}, [1]):
        try:
            check(value, schema)
        except Unfit as error:
            assert len(str(error)) < 300  # noqa: PT017 -- it may fit as well: what counts is that it ends
    assert time.process_time() - began < 5.0
