"""Types that have no form on the wire are refused with the model, the field and what to use instead."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar
from uuid import UUID

import pytest
from pydantic import AliasPath, BaseModel, Field, RootModel, SecretStr

from aiosv3.schemas.derive import UnsupportedType, derive

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"


class Cat(BaseModel):
    born: datetime


class Part(BaseModel):
    name: str


class Tree(BaseModel):
    children: list[Tree] = []


class Nested(BaseModel):
    part: Deep | None


class Deep(BaseModel):
    wait: timedelta


class Ümlaut(BaseModel):
    größe: int


@pytest.mark.parametrize(
    ("python", "words"),
    [
        (timedelta, "timedelta has no Avro form: use int"),
        (complex, "complex has no Avro form: use two floats"),
        (SecretStr, "SecretStr has no Avro form: use the name of the secret"),
        (object(), "use a concrete type"),
        (Nested, r"Deep\.wait: timedelta has no Avro form: use int"),
        (Tree, r"Tree\.children: Tree contains itself: use Any"),
        (dict[int, str], r"keys of type str, not int: use dict\[str, …\]"),
        (tuple[int, str], "fixed length has no Avro form: use a model"),
        (str | UUID, "str and UUID look alike on the wire: use a model for each"),
        (int | datetime, "look alike"),
        (Color | str, "look alike"),
        (Cat | dict[str, int], "look alike"),
        (int | Any | str, "look alike"),
        (Literal["a", 1], "not all str or all int"),
        (Ümlaut, "not legal in Avro: use ASCII"),
        (T, "use a concrete type"),
    ],
)
def test_what_has_no_form_is_named_with_what_to_use(python: Any, words: str) -> None:
    with pytest.raises(UnsupportedType, match=words):
        derive(python, "triage", "Value")


def test_two_types_of_one_name() -> None:
    twin = type("Part", (BaseModel,), {"__annotations__": {"x": int}, "__module__": __name__})
    holder = type("Holder", (BaseModel,), {"__annotations__": {"one": Part, "other": twin}, "__module__": __name__})
    with pytest.raises(UnsupportedType, match=r"Holder\.other: two different types are named Part") as caught:
        derive(holder, "triage", "Value")
    assert (caught.value.model, caught.value.field) == ("Holder", "other")
    with pytest.raises(UnsupportedType, match="taken by the envelope"):
        derive(Part, "triage", "Value", frozenset({"Part"}))


def test_an_alias_path_is_no_name() -> None:
    class Pathed(BaseModel):
        x: int = Field(validation_alias=AliasPath("a", 0))

    with pytest.raises(UnsupportedType, match="alias path"):
        derive(Pathed, "triage", "Value")


def test_a_root_that_is_a_union() -> None:
    with pytest.raises(UnsupportedType, match=r"root of .* is a union"):
        derive(RootModel[int | str], "triage", "Value")
