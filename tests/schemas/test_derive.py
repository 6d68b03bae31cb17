from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NewType, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NaiveDatetime,
    RootModel,
    field_validator,
)

from aiosv3.schemas.codec import Codec, Reader
from aiosv3.schemas.compat import check_compatible
from aiosv3.schemas.derive import derive
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.store import SchemaStore

Money = NewType("Money", int)
T = TypeVar("T")
NOW = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)


class Color(enum.Enum):
    """Of the traffic light."""

    RED = "red"
    GREEN = "green"


class Odd(enum.Enum):
    ONE = "number one"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    born: datetime


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    born: datetime


class Part(BaseModel):
    name: str
    seen: date | None = None


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    at: datetime


class Names(RootModel[list[str]]):
    pass


async def wire(python: Any, value: Any) -> Any:
    """There and back through real bytes."""
    derived = derive(python, "triage", "Value")
    store = SchemaStore()
    codec = Codec(store)
    await store.register("s-value", derived.schema)
    return derived.from_datum(codec.decode(codec.encode_value("s-value", derived.to_datum(value))).datum)


def kind_of(python: Any, **more: Any) -> Any:
    model = type("M", (BaseModel,), {"__annotations__": {"f": python}, "__module__": __name__, **more})
    (field,) = derive(model, "triage", "Value").schema["fields"]
    return field["type"]


@pytest.mark.parametrize(
    ("python", "value", "kind"),
    [
        (int, 5, "long"),
        (float, 1.5, "double"),
        (str, "ä", "string"),
        (bool, True, "boolean"),
        (bytes, b"\0\xff", "bytes"),
        (Money, 3, "long"),
        (datetime, NOW, {"type": "long", "logicalType": "timestamp-micros"}),
        (NaiveDatetime, NOW.replace(tzinfo=None), {"type": "long", "logicalType": "local-timestamp-micros"}),
        (date, date(1969, 7, 20), {"type": "int", "logicalType": "date"}),
        (time, time(23, 59, 59, 999999), {"type": "long", "logicalType": "time-micros"}),
        (UUID, uuid4(), {"type": "string", "logicalType": "uuid"}),
        (Decimal, Decimal("1.10"), "string"),
        (
            Annotated[Decimal, Field(max_digits=6, decimal_places=2)],
            Decimal("-1234.50"),
            {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
        ),
        (Annotated[int, Field(ge=0)], 5, "long"),
        (Odd, Odd.ONE, "string"),
        (Level, Level.HIGH, "long"),
        (Literal[1, 2], 2, "long"),
        (Literal["a b", "c"], "a b", "string"),
        (list[int], [1], {"type": "array", "items": "long"}),
        (set[int], {1}, {"type": "array", "items": "long"}),
        (frozenset[str], frozenset({"a"}), {"type": "array", "items": "string"}),
        (tuple[int, ...], (1, 2), {"type": "array", "items": "long"}),
        (Sequence[int], [1], {"type": "array", "items": "long"}),
        (list[list[date]], [[date(2020, 1, 1)]], None),
        (dict[str, int], {"a": 1}, {"type": "map", "values": "long"}),
        (Mapping[str, UUID], {"a": UUID(int=5)}, None),
        (dict[str, Any], {"a": [1, {"b": None}]}, "string"),
        (dict, {"a": 1}, "string"),
        (Any, [1, None, "x"], "string"),
        (Any, None, "string"),
        (JsonValue, {"a": 1}, "string"),
        (list, [1, "a"], {"type": "array", "items": "string"}),
        (int | None, None, ["null", "long"]),
        (date | None, date(2020, 1, 1), ["null", {"type": "int", "logicalType": "date"}]),
        (int | str, "x", ["long", "string"]),
        (int | float | bool, 1, ["long", "double", "boolean"]),
        (int | float | bool, 1.0, ["long", "double", "boolean"]),
        (int | float | bool, True, ["long", "double", "boolean"]),
        (datetime | str | None, NOW, None),
        (list[int] | str, [1], None),
        (Point, Point(1.0, tags=["a"]), None),
        (Slotted, Slotted(NOW), None),
        (list[Slotted], [Slotted(NOW)], None),
        (Names, Names(["a"]), {"type": "array", "items": "string"}),
        (AnyUrl, AnyUrl("https://example.org/a"), "string"),
        (PurePosixPath, PurePosixPath("a/b"), "string"),
        (Cat | Dog, Dog(born=NOW), None),
        (list[Cat | Dog], [Dog(born=NOW), Cat(born=NOW)], None),
        (Cat | Dog | None, None, None),
        (Cat | str, "x", None),
        (Cat | str, Cat(born=NOW), None),
        (Part | None, Part(name="a", seen=date(2020, 1, 1)), None),
        (None, None, "null"),
    ],
)
async def test_values_survive_the_wire(python: Any, value: Any, kind: Any) -> None:
    back = await wire(python, value)
    assert back == value
    assert type(back) is type(value)
    if kind is not None:
        assert kind_of(python) == kind


def test_names_are_pinned() -> None:
    schema = derive(Part, "triage-2", "Input").schema
    assert (schema["name"], schema["namespace"]) == ("Part", "aiosv3.types.triage_2")
    assert derive(Part, "2-triage", "Input").schema["namespace"] == "aiosv3.types._2_triage"
    wrapped = derive(list[Part], "triage", "TriageInput")
    assert (wrapped.schema["name"], wrapped.name) == ("TriageInput", "aiosv3.types.triage.TriageInput")
    assert [field["name"] for field in wrapped.schema["fields"]] == ["value"]


def test_enums_and_literals_of_legal_names_are_enums() -> None:
    assert kind_of(Color) == {
        "type": "enum",
        "name": "Color",
        "namespace": "aiosv3.types.triage",
        "doc": "Of the traffic light.",
        "symbols": ["red", "green"],
    }
    assert kind_of(Literal["a", "b"])["name"] == "MF"


def test_a_type_is_defined_once() -> None:
    class Whole(BaseModel):
        first: Part
        rest: list[Part]
        maybe: Part | None = None

    fields = {field["name"]: field["type"] for field in derive(Whole, "triage", "Value").schema["fields"]}
    assert fields["first"]["name"] == "Part"
    assert fields["rest"] == {"type": "array", "items": "aiosv3.types.triage.Part"}
    assert fields["maybe"] == ["null", "aiosv3.types.triage.Part"]


class Documented(BaseModel):
    """What it is.

    More of it.
    """

    plain: str = Field(description="The plain one.")
    number: int = 3
    ratio: float = 1
    maybe: int | None = None
    word: str | None = "x"
    color: Color = Color.GREEN
    day: date = date(1970, 1, 2)
    raw: bytes = b"\xff"
    names: list[str] = Field(default_factory=list)
    limits: dict[str, int] = {"a": 1}
    anything: Any = None
    unusable: float = float("nan")
    part: Part = Part(name="a")
    made: str = Field(default_factory=lambda: "new each time")


def test_words_and_defaults_are_carried() -> None:
    schema = derive(Documented, "triage", "Value").schema
    assert schema["doc"] == "What it is.\n\nMore of it."
    fields = {field["name"]: field for field in schema["fields"]}
    assert fields["plain"] == {"name": "plain", "type": "string", "doc": "The plain one."}
    defaults = {name: field["default"] for name, field in fields.items() if "default" in field}
    assert defaults == {
        "number": 3,
        "ratio": 1,
        "maybe": None,
        "word": "x",
        "color": "green",
        "day": 1,
        "raw": "\xff",
        "names": [],
        "limits": {"a": 1},
        "anything": "null",
    }
    assert fields["word"]["type"] == ["string", "null"]


async def test_a_field_with_a_default_may_be_added_and_gets_it() -> None:
    class Part2(BaseModel):
        name: str
        seen: date | None = None
        day: date = date(2020, 1, 1)
        names: list[str] = ["a"]
        color: Color | None = Color.RED
        raw: bytes = b"\x01"

    Part2.__name__ = "Part"
    old, new = derive(Part, "triage", "Value"), derive(Part2, "triage", "Value")
    check_compatible("s", new.schema, [old.schema])
    store = SchemaStore()
    codec = Codec(store)
    await store.register("s-value", old.schema)
    datum = codec.decode_by(Reader(new.schema), codec.encode_value("s-value", old.to_datum(Part(name="n"))))
    assert new.from_datum(datum) == Part2(name="n")


async def test_a_model_in_a_union_is_found_in_records_that_knew_only_one() -> None:
    class One(BaseModel):
        pet: Cat

    class Two(BaseModel):
        pet: Cat | Part

    One.__name__ = Two.__name__ = "Owner"
    old, new = derive(One, "triage", "Value"), derive(Two, "triage", "Value")
    check_compatible("s", new.schema, [old.schema])
    store = SchemaStore()
    codec = Codec(store)
    await store.register("s-value", old.schema)
    datum = codec.decode_by(Reader(new.schema), codec.encode_value("s-value", old.to_datum(One(pet=Cat(born=NOW)))))
    assert new.from_datum(datum) == Two(pet=Cat(born=NOW))


class Aliased(BaseModel):
    first: int = Field(alias="First-Name")
    second: int = Field(validation_alias=AliasChoices(AliasPath("a", 0), "zweite"))


class Chosen(BaseModel):
    model_config = ConfigDict(populate_by_name=True, strict=True, use_enum_values=True)
    first: int = Field(alias="First-Name")
    color: Color
    id: UUID
    many: tuple[int, ...]
    day: date


async def test_fields_go_by_their_own_names_whatever_their_alias() -> None:
    value = Aliased.model_validate({"First-Name": 1, "zweite": 2})
    assert await wire(Aliased, value) == value
    fields = {"first": 1, "color": Color.RED, "id": uuid4(), "many": (1,), "day": date(2020, 1, 1)}
    chosen = Chosen.model_validate(fields)
    assert await wire(Chosen, chosen) == chosen


class Checked(BaseModel):
    amount: int = Field(ge=0)
    name: str = ""

    @field_validator("name")
    @classmethod
    def short(cls, value: str) -> str:
        if len(value) > 3:
            raise ValueError("too long")
        return value


def test_values_are_validated_and_the_input_is_not_told() -> None:
    derived = derive(Checked, "triage", "Value")
    with pytest.raises(MalformedValue, match=r"Checked does not fit: amount: .*; name: .*too long") as caught:
        derived.from_datum({"amount": -987, "name": "secret"})
    assert "987" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(MalformedValue):
        derive(UUID, "triage", "Value").from_datum({"value": "no uuid"})
    with pytest.raises(MalformedValue):
        derive(Color, "triage", "Value").from_datum({"value": "blue"})
    with pytest.raises(MalformedValue):
        derive(Any, "triage", "Value").from_datum({"value": "{"})


@pytest.mark.parametrize(
    ("python", "value", "words"),
    [
        (datetime, NOW.replace(tzinfo=None), "time zone"),
        (time, time(1, tzinfo=UTC), "time zone"),
        (Annotated[Decimal, Field(max_digits=4, decimal_places=2)], Decimal("1.234"), "4 digits"),
        (Annotated[Decimal, Field(max_digits=4, decimal_places=2)], Decimal("123.45"), "4 digits"),
        (int | str, 1.5, "a float is none of int, str"),
    ],
)
def test_values_that_do_not_fit(python: Any, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        derive(python, "triage", "Value").to_datum(value)


async def test_other_time_zones_are_the_same_instant() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5)))
    assert await wire(datetime, there) == NOW


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.times(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.decimals(min_value=-9999, max_value=9999, places=2),
)
def test_times_and_decimals_come_back_exactly(
    at: datetime, day: date, clock: time, free: Decimal, money: Decimal
) -> None:
    class Exact(BaseModel):
        at: datetime
        day: date
        clock: time
        free: Decimal
        money: Decimal = Field(max_digits=6, decimal_places=2)

    derived = derive(Exact, "triage", "Value")
    value = Exact(at=at, day=day, clock=clock, free=free, money=money)
    assert derived.from_datum(derived.to_datum(value)) == value
