from __future__ import annotations

from typing import Any

import pytest

from aiosv3.schemas.compat import Problem, check_compatible, problems
from aiosv3.schemas.errors import IncompatibleSchema


def record(*fields: dict[str, Any], name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": "n", "fields": list(fields), **more}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "namespace": "n", "symbols": list(symbols), **more}


def found(new: Any, old: Any) -> list[Problem]:
    return list(problems(record(field("f", new)), record(field("f", old))))


INNER = record(field("x", "int"), name="I")
MILLIS, MICROS = ({"type": "long", "logicalType": f"timestamp-{unit}"} for unit in ("millis", "micros"))


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("long", "int"),
        ("double", "int"),
        ("double", "float"),
        ("bytes", "string"),
        ("string", "bytes"),
        (["null", "string"], "string"),
        (["null", "long"], "int"),
        (["null", "string", "int"], ["null", "string"]),
        (["string", "null"], ["null", "string"]),
        ("string", ["string"]),
        (enum("A", "B"), enum("A")),
        (enum("A", default="A"), enum("A", "B")),
        ({"type": "array", "items": "long"}, {"type": "array", "items": "int"}),
        ({"type": "map", "values": "long"}, {"type": "map", "values": "int"}),
        (MILLIS, MILLIS),
        (["null", INNER], INNER),
        (record(field("x", "int"), field("y", "int", default=1), name="I"), INNER),
        (record(name="I"), INNER),
        (record(field("z", "int", aliases=["x"]), name="I"), INNER),
        (record(field("x", "int"), name="J", aliases=["I"]), INNER),
        ({"type": "fixed", "name": "F", "size": 2}, {"type": "fixed", "name": "F", "size": 2}),
        ({"type": {"type": "long"}}, "int"),
    ],
)
def test_allowed(new: Any, old: Any) -> None:
    assert found(new, old) == []


@pytest.mark.parametrize(
    ("new", "old", "where", "rule"),
    [
        ("int", "long", "f", "the type changed from long to int"),
        ("string", "int", "f", "the type changed from int to string"),
        ("string", ["null", "string"], "f", "the type changed from null to string"),
        (["null", "int"], ["null", "string"], "f", "string was removed from the union"),
        (["null", "string"], INNER, "f", "record I was removed from the union"),
        (enum("A"), enum("A", "B"), "f", "enum symbols were removed: B"),
        (
            {"type": "array", "items": "int"},
            {"type": "array", "items": "long"},
            "f[]",
            "the type changed from long to int",
        ),
        (
            {"type": "map", "values": "int"},
            {"type": "map", "values": "long"},
            "f{}",
            "the type changed from long to int",
        ),
        (MICROS, MILLIS, "f", "the logical type changed from long (timestamp-millis) to long (timestamp-micros)"),
        ("long", MILLIS, "f", "the logical type changed from long (timestamp-millis) to long"),
        (record(field("x", "int"), name="J"), INNER, "f", "record I was renamed to J without an alias"),
        (record(field("x", "int"), field("y", "int"), name="I"), INNER, "f.y", "a field without default was added"),
        (record(field("x", "string"), name="I"), INNER, "f.x", "the type changed from int to string"),
        (
            {"type": "fixed", "name": "F", "size": 2},
            {"type": "fixed", "name": "F", "size": 3},
            "f",
            "the size changed from 3 to 2",
        ),
    ],
)
def test_forbidden(new: Any, old: Any, where: str, rule: str) -> None:
    assert found(new, old) == [Problem(where, rule)]


def test_references_are_followed_on_both_sides() -> None:
    old = record(field("a", INNER), field("b", ["null", "n.I"]))
    new = record(field("b", ["null", record(field("x", "string"), name="I")]), field("a", "I"))
    assert Problem("b.x", "the type changed from int to string") in list(problems(new, old))


def test_a_type_that_holds_itself_ends() -> None:
    node = record(field("next", ["null", "n.R"]))
    assert list(problems(node, node)) == []


def test_every_version_counts_and_the_error_says_all() -> None:
    first, second, third = record(field("a", "string")), record(), record(field("a", "int", default=0))
    check_compatible("t-value", second, [first])
    check_compatible("t-value", third, [second])
    with pytest.raises(IncompatibleSchema) as caught:
        check_compatible("t-value", third, [first, second])
    error = caught.value
    assert (error.subject, error.field, error.rule) == ("t-value", "a", "the type changed from string to int")
    assert "t-value: a: the type changed from string to int (against version 1)" in str(error)


def test_the_record_itself_may_not_be_renamed() -> None:
    assert list(problems(record(), record(name="S"))) == [
        Problem("(top)", "record S was renamed to R without an alias")
    ]
