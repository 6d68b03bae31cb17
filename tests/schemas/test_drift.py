"""The dataclasses and the ``.avsc`` files say the same."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import aiosv3.schemas.released
from aiosv3.schemas.classes import MODULES, class_named

FOLDER = Path(aiosv3.schemas.released.__file__).parent / "avsc"
FILES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.avsc")}
PRIMITIVES: dict[Any, set[str]] = {
    str: {"string"},
    bytes: {"bytes"},
    bool: {"boolean"},
    int: {"int", "long"},
    float: {"double"},
    type(None): {"null"},
}


def twins() -> set[str]:
    return {
        cls.__name__
        for module in MODULES
        for cls in vars(module).values()
        if isinstance(cls, type)
        and cls.__module__ == module.__name__
        and (dataclasses.is_dataclass(cls) or (issubclass(cls, Enum) and len(cls) > 0))
    }


def matches(annotation: Any, node: Any) -> bool:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        branches = list(node) if isinstance(node, list) else []
        return len(arguments) == len(branches) and all(
            any(matches(argument, branch) for branch in branches) for argument in arguments
        )
    if origin is tuple:
        return isinstance(node, dict) and node["type"] == "array" and matches(arguments[0], node["items"])
    if annotation in PRIMITIVES:
        return (node["type"] if isinstance(node, dict) else node) in PRIMITIVES[annotation]
    return bool(node == f"aiosv3.{annotation.__name__}")


def test_each_file_has_a_twin_and_each_twin_a_file() -> None:
    assert twins() == set(FILES)
    assert all(schema["name"] == name and schema["namespace"] == "aiosv3" for name, schema in FILES.items())


@pytest.mark.parametrize("name", sorted(name for name, schema in FILES.items() if schema["type"] == "record"))
def test_fields_agree(name: str) -> None:
    cls, schema = class_named(name), FILES[name]
    hints = typing.get_type_hints(cls)
    mine = dataclasses.fields(cls)
    assert [field.name for field in mine] == [field["name"] for field in schema["fields"]]
    for own, theirs in zip(mine, schema["fields"], strict=True):
        assert matches(hints[own.name], theirs["type"]), (own.name, hints[own.name], theirs["type"])
        assert (own.default is not dataclasses.MISSING) == ("default" in theirs), own.name
        if "default" in theirs:
            default = list(own.default) if isinstance(own.default, tuple) else own.default
            assert default == theirs["default"], own.name


@pytest.mark.parametrize("name", sorted(name for name, schema in FILES.items() if schema["type"] == "enum"))
def test_symbols_agree(name: str) -> None:
    assert [member.value for member in class_named(name)] == FILES[name]["symbols"]
    assert [member.name for member in class_named(name)] == FILES[name]["symbols"]


@pytest.mark.parametrize("name", sorted(FILES))
def test_everything_is_documented_in_whole_sentences(name: str) -> None:
    for node in [FILES[name], *FILES[name].get("fields", ())]:
        assert node["doc"].endswith("."), node["name"]
        assert len(node["doc"]) > 10


@pytest.mark.parametrize("name", sorted(FILES))
def test_times_have_their_logical_type(name: str) -> None:
    times = {
        "first_sent",
        "server_seen",
        "updated",
        "retry_after",
        "timestamp",
        "task_timestamp",
        "asked_at",
        "expires_at",
        "answered_at",
        "decided_at",
        "due",
        "valid_from",
        "valid_to",
        "recorded_at",
        "as_of",
        "at",
        "since",
        "until",
    }
    for field in FILES[name].get("fields", ()):
        assert ("timestamp-millis" in json.dumps(field["type"])) == (field["name"] in times), field["name"]
