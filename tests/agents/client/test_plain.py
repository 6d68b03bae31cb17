"""Avro data as JSON: the same as pydantic says of the value that was written."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, NaiveDatetime, TypeAdapter

from aiosv3.agents.client.plain import plain
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.store import SchemaStore


class Colour(Enum):
    RED = "red"


class Part(BaseModel):
    size: int


class Other(BaseModel):
    name: str


class Everything(BaseModel):
    at: datetime = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    local: NaiveDatetime = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001
    day: date = date(1969, 12, 31)
    clock: time = time(3, 4, 5)
    price: Decimal = Decimal("1.50")
    exact: Annotated[Decimal, Field(max_digits=8, decimal_places=2)] = Decimal("-3.25")
    id: UUID = UUID(int=7)
    raw: bytes = b"text"
    colour: Colour = Colour.RED
    part: Part | None = Part(size=1)
    either: Part | Other = Other(name="x")
    mixed: Part | int | str = 3
    parts: list[Part] = [Part(size=2)]
    by_name: dict[str, Part] = {"a": Part(size=3)}
    nothing: str | None = None
    number: float = 0.5
    flag: bool = True


async def through_avro(kind: Any, value: Any) -> Any:
    store = SchemaStore()
    schemas = AgentSchemas("a", str, kind)
    await schemas.register(store)
    codec = Codec(store)
    result = ResultEnvelope("t", "t", Outcome.OK, 0, 0, "", 0, 0, "v", value)
    decoded = codec.decode(schemas.encode_result(codec, result))
    content = next(field for field in schemas.result_schema["fields"] if field["name"] == "content")
    return plain(decoded.datum["content"], content["type"])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Everything, Everything()),
        (str, "text"),
        (int, 3),
        (list[Part], [Part(size=1), Part(size=2)]),
        (dict[str, int], {"a": 1}),
        (Part | Other, Other(name="x")),
        (Part | None, Part(size=1)),
        (datetime, datetime(2026, 1, 2, tzinfo=UTC)),
        (str | None, "x"),
    ],
)
async def test_it_reads_as_json_does(kind: Any, value: Any) -> None:
    assert await through_avro(kind, value) == TypeAdapter(kind).dump_python(value, mode="json")


async def test_nothing_is_nothing() -> None:
    assert await through_avro(type(None), None) is None


async def test_bytes_that_are_no_text_are_base64() -> None:
    assert await through_avro(bytes, b"\xff\x00") == "/wA="


async def test_a_field_of_any_type_stays_the_json_text_that_it_is_on_the_wire() -> None:
    assert await through_avro(Any, {"a": [1]}) == '{"a":[1]}'
