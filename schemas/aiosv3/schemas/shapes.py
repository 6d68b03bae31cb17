"""How values of plain Python types stand in Avro: one shape each, with its pair of converters.

``dump`` makes the Avro datum of a value and ``load`` goes back; None means that both are the same. What
``load`` returns is validated by pydantic once, at the top, so it need not check anything that pydantic
checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from operator import attrgetter
from pathlib import PurePath
from typing import Any, Final, TypeAlias
from uuid import UUID

from pydantic import AnyUrl, AwareDatetime, NaiveDatetime, TypeAdapter
from pydantic_core import from_json, to_json

Convert: TypeAlias = Callable[[Any], Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the origin of local-timestamp-micros has no zone
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Shape:
    """An Avro type and how values get there and back.

    ``tag`` is the name of its branch in a union, ``types`` are the Python types of the values, ``raw`` is the
    Python type of the datum. ``nullable``: None is itself a value. ``keys``: the fields, if it is a record.
    """

    schema: Any
    tag: str
    types: tuple[type, ...]
    raw: type
    dump: Convert | None = None
    load: Convert | None = None
    nullable: bool = False
    keys: frozenset[str] | None = None


def _same(kind: str, python: type) -> Shape:
    return Shape(kind, kind, (python,), python)


def _textual(python: type, load: Convert | None, logical: str | None = None) -> Shape:
    schema = {"type": "string", "logicalType": logical} if logical else "string"
    return Shape(schema, "string", (python,), str, str, load)


def _json_text(value: Any) -> str:
    return to_json(value).decode()


def json_shape() -> Shape:
    """Anything that JSON can say, as text."""
    return Shape("string", "string", (object,), str, _json_text, from_json, nullable=True)


def decimal_shape(precision: int, scale: int) -> Shape:
    """A decimal of fixed scale: Avro's ``decimal`` on bytes. A value with more places does not fit."""
    unit = Decimal(1).scaleb(-scale)

    def dump(value: Decimal) -> bytes:
        number = value.scaleb(scale)
        if not number.is_finite() or number != number.to_integral_value() or number.adjusted() >= precision:
            raise ValueError(f"a decimal has at most {precision} digits, {scale} of them after the point")
        whole = int(number)
        return whole.to_bytes(whole.bit_length() // 8 + 1, "big", signed=True)

    def load(datum: bytes | str) -> Decimal:
        raw = datum.encode("latin-1") if isinstance(datum, str) else datum
        return int.from_bytes(raw, "big", signed=True) * unit

    schema = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    return Shape(schema, "bytes", (Decimal,), bytes, dump, load)


def _instant(value: datetime) -> int:
    if value.tzinfo is None:
        raise ValueError("a datetime needs a time zone: use datetime.now(UTC), or pydantic.NaiveDatetime")
    return (value - _EPOCH) // _MICROSECOND


def _local(value: datetime) -> int:
    return (value - _NAIVE_EPOCH) // _MICROSECOND


def _clock(value: time) -> int:
    if value.tzinfo is not None:
        raise ValueError("a time of day is kept without a time zone: use datetime")
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def _logical(kind: str, logical: str, python: type, dump: Convert, load: Convert) -> Shape:
    return Shape({"type": kind, "logicalType": logical}, kind, (python,), int, dump, load)


_INSTANT: Final = _logical(
    "long", "timestamp-micros", datetime, _instant, lambda micros: _EPOCH + micros * _MICROSECOND
)
_LOCAL: Final = _logical(
    "long", "local-timestamp-micros", datetime, _local, lambda micros: _NAIVE_EPOCH + micros * _MICROSECOND
)
_DAY: Final = _logical(
    "int",
    "date",
    date,
    lambda value: value.toordinal() - _FIRST_DAY,
    lambda days: date.fromordinal(days + _FIRST_DAY),
)
_CLOCK: Final = _logical(
    "long", "time-micros", time, _clock, lambda micros: (_NAIVE_EPOCH + micros * _MICROSECOND).time()
)

PLAIN: Final[dict[Any, Shape]] = {
    type(None): Shape("null", "null", (type(None),), type(None), nullable=True),
    bool: _same("boolean", bool),
    int: _same("long", int),
    float: _same("double", float),
    str: _same("string", str),
    bytes: _same("bytes", bytes),
    datetime: _INSTANT,
    AwareDatetime: _INSTANT,
    NaiveDatetime: _LOCAL,
    date: _DAY,
    time: _CLOCK,
    Decimal: _textual(Decimal, Decimal),
    UUID: _textual(UUID, UUID, "uuid"),
}
"""The types that need nothing but themselves."""


def textual_shape(python: type) -> Shape | None:
    """Paths and addresses: their text. None for any other type."""
    if issubclass(python, AnyUrl | PurePath):
        return _textual(python, python)
    return None


def enum_values(member: Any) -> Any:
    """The value of an enum member; a plain value where the model keeps values (``use_enum_values``)."""
    return getattr(member, "_value_", member)


def list_shape(item: Shape, python: type) -> Shape:
    """An array; ``python`` is list, tuple, set or frozenset."""
    dump_item, load_item = item.dump, item.load

    def dump(values: Any) -> list[Any]:
        return [dump_item(value) for value in values] if dump_item else list(values)

    def load(data: list[Any]) -> Any:
        return python([load_item(datum) for datum in data] if load_item else data)

    same = python is list
    return Shape(
        {"type": "array", "items": item.schema},
        "array",
        (python,),
        list,
        None if same and dump_item is None else dump,
        None if same and load_item is None else load,
    )


def map_shape(item: Shape) -> Shape:
    """A map with string keys."""
    dump, load = item.dump, item.load
    return Shape(
        {"type": "map", "values": item.schema},
        "map",
        (dict,),
        dict,
        None if dump is None else lambda values: {key: dump(value) for key, value in values.items()},
        None if load is None else lambda data: {key: load(datum) for key, datum in data.items()},
    )


def optional_shape(shape: Shape) -> Shape:
    """Null or ``shape``, null first."""
    if shape.schema == "null" or isinstance(shape.schema, list):
        return shape
    tag, dump, load = shape.tag, shape.dump, shape.load
    return Shape(
        ["null", shape.schema],
        tag,
        (*shape.types, type(None)),
        shape.raw,
        (lambda value: None if value is None else (tag, value))
        if dump is None
        else (lambda value: None if value is None else (tag, dump(value))),
        None if load is None else lambda datum: None if datum is None else load(datum),
        nullable=True,
    )


def union_shape(shapes: list[Shape], *, null: bool) -> Shape:
    """A union of shapes whose types, tags and raw types differ (records may share theirs.

    Fastavro names them).
    """
    dumps = {python: (shape.tag, shape.dump) for shape in shapes for python in shape.types}
    named = {shape.tag: _instance(shape) for shape in shapes if "." in shape.tag}
    by_keys = [(shape.keys, shape.tag) for shape in shapes if shape.keys is not None]
    loads = {shape.raw: shape.load for shape in shapes if shape.keys is None}

    def dump(value: Any) -> Any:
        if value is None:
            return None
        kind = type(value)
        found = dumps.get(kind) or next((dumps[base] for base in kind.__mro__ if base in dumps), None)
        if found is None:
            raise ValueError(f"a {kind.__name__} is none of {', '.join(sorted(one.__name__ for one in dumps))}")
        tag, convert = found
        return tag, value if convert is None else convert(value)

    def load(datum: Any) -> Any:
        if datum is None:
            return None
        if type(datum) is tuple:
            return named[datum[0]](datum[1])
        if type(datum) is dict and by_keys:
            return named[_by_keys(datum, by_keys)](datum)
        convert = loads[type(datum)]
        return datum if convert is None else convert(datum)

    branches = ["null", *(shape.schema for shape in shapes)] if null else [shape.schema for shape in shapes]
    types = tuple(python for shape in shapes for python in shape.types)
    return Shape(branches, "union", types, object, dump, load, nullable=null)


def _instance(shape: Shape) -> Convert:
    """Several models in a union look alike as data, so the one that was written is made here, not guessed."""
    validate, load = TypeAdapter[Any](shape.types[0]).validator.validate_python, shape.load
    return validate if load is None else lambda datum: validate(load(datum))


def _by_keys(datum: dict[str, Any], records: Sequence[tuple[frozenset[str] | None, str]]) -> str:
    """Which record this is, when the writer's schema knew only one and so did not name it."""
    found = [tag for keys, tag in records if keys == datum.keys()]
    if len(found) != 1:
        raise ValueError(f"cannot tell which of {', '.join(tag for _, tag in records)} an old record holds")
    return found[0]


def fields_shape(tag: str, schema: Any, python: type, fields: list[tuple[str, str, Shape]], slots: bool) -> Shape:
    """A record.

    ``fields`` are (name in Avro, name that pydantic expects, shape); ``slots``: read by attribute.
    """
    dumps = [(name, shape.dump) for name, _, shape in fields if shape.dump is not None]
    loads = [(name, shape.load) for name, _, shape in fields if shape.load is not None]
    renames = [(name, alias) for name, alias, _ in fields if name != alias]
    names = [name for name, _, _ in fields]
    getters = [(name, attrgetter(name)) for name in names]

    def dump(value: Any) -> dict[str, Any]:
        datum = {name: get(value) for name, get in getters} if slots else value.__dict__.copy()
        for name, convert in dumps:
            datum[name] = convert(datum[name])
        return datum

    def load(datum: dict[str, Any]) -> dict[str, Any]:
        for name, convert in loads:
            datum[name] = convert(datum[name])
        for name, alias in renames:
            datum[alias] = datum.pop(name)
        return datum

    loading = load if loads or renames else None
    return Shape(schema, tag, (python,), dict, dump, loading, keys=frozenset(names))
