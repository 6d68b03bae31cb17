"""Values on the wire: Confluent framing (a zero byte, the schema id in four bytes, big end first), then Avro.

Data hold no logical types: a time is its number, a uuid its text, a decimal its bytes. A union of several records gives
``(full name, datum)``.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any, Final, NamedTuple, TypeVar

import fastavro

from aiosv3.schemas.classes import class_named
from aiosv3.schemas.compiled import Read, Write, compile_record
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.fingerprints import Schema, fingerprint
from aiosv3.schemas.parsed import parse
from aiosv3.schemas.released import NAMESPACE, RECORDS
from aiosv3.schemas.store import SchemaStore, UnresolvedSchema
from aiosv3.schemas.twins import Twin, named_types, twin

T = TypeVar("T")

_MAGIC: Final = b"\0"
_HEAD: Final = 5
_LAST_ID: Final = 2**31 - 1
UNFIT: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    fastavro.read.SchemaResolutionError,
    struct.error,
)
"""What fastavro, and compiled readers and writers, raise on bytes or data that do not fit the schema."""


class Decoded(NamedTuple):
    """A value in Avro's own terms: the id and full name of its writer's schema, and the data."""

    schema_id: int
    name: str
    datum: Any


class Reader:
    """A schema that values are read as, whichever version wrote them."""

    __slots__ = ("mark", "name", "parsed")

    def __init__(self, schema: Schema) -> None:
        self.parsed: Any = parse(schema)
        self.name: str = self.parsed["name"]
        self.mark = fingerprint(schema)


class _Writer(NamedTuple):
    """A schema by which values were or will be written, under its id."""

    head: bytes
    parsed: Any
    name: str
    mark: str


class _Fixed(NamedTuple):
    """All that is made once for a record class."""

    twin: Twin[Any]
    reader: Reader
    write: Write
    read: Read


class Codec:
    """Writes and reads values; synchronous, never waits.

    Reading raises :class:`MalformedValue` (nobody can read these bytes) or :class:`UnresolvedSchema` (await
    ``store.resolve`` and call again). Writing raises :class:`MalformedValue` when the data does not fit.
    """

    def __init__(self, store: SchemaStore) -> None:
        self.store = store
        self._writers: dict[int, _Writer] = {}
        self._fixed: dict[type, _Fixed] = {}
        self._same: set[tuple[int, str]] = set()

    def encode(self, record: object) -> bytes:
        """The value of one of the records of :mod:`aiosv3.schemas.records`."""
        cls = type(record)
        _, reader, write, _ = self._fixed.get(cls) or self._prepare(cls)
        out = [_MAGIC + self.store.released_id(reader.name).to_bytes(4, "big")]
        try:
            write(record, out.append)
            return b"".join(out)
        except UNFIT as error:
            raise MalformedValue(f"the data does not fit {reader.name}: {type(error).__name__} {error}") from error

    def encode_value(self, subject: str, datum: Any) -> bytes:
        """Avro data by the newest schema of ``subject``.

        Raises :class:`UnregisteredSubject` if it has none.
        """
        return _write(self._writer(self.store.subject_id(subject)), datum)

    def begin_of(self, subject: str, mark: str) -> bytes | None:
        """The framing of values of ``subject``; None unless its newest schema is the one of this fingerprint.

        Raises :class:`UnregisteredSubject` if it has none.
        """
        writer = self._writer(self.store.subject_id(subject))
        return writer.head if writer.mark == mark else None

    def decode(self, value: bytes) -> Decoded:
        """The data as it was written."""
        schema_id = _schema_id(value)
        writer = self._writer(schema_id)
        return Decoded(schema_id, writer.name, _read(value, writer.parsed, None))

    def decode_as(self, cls: type[T], value: bytes) -> T:
        """The value as record ``cls``, whichever release of it was written."""
        pair, reader, _, read = self._fixed.get(cls) or self._prepare(cls)
        schema_id = _schema_id(value)
        record: T
        if (schema_id, reader.mark) not in self._same:
            record = pair.from_datum(self.decode_by(reader, value))
            return record
        try:
            record, end = read(value, _HEAD, len(value))
        except UNFIT as error:
            raise MalformedValue(f"the bytes do not fit {reader.name}: {type(error).__name__} {error}") from error
        _check_end(value, end)
        return record

    async def read_as(self, cls: type[T], value: bytes) -> T:
        """As :meth:`decode_as`, with the schema fetched where it is not known yet.

        Raises :class:`WireError` for what nobody can read, :class:`RegistryUnavailable` without an answer.
        """
        while True:
            try:
                return self.decode_as(cls, value)
            except UnresolvedSchema as error:
                await self.store.resolve(error.schema_id)

    def decode_by(self, reader: Reader, value: bytes) -> Any:
        """The data as ``reader`` sees it: fields that the writer did not have take their defaults."""
        schema_id = _schema_id(value)
        writer = self._writer(schema_id)
        if (schema_id, reader.mark) in self._same:
            return _read(value, writer.parsed, None)
        if writer.name != reader.name:
            raise MalformedValue(f"the value holds {writer.name} (schema {schema_id}) where {reader.name} is expected")
        if writer.mark == reader.mark:
            self._same.add((schema_id, reader.mark))
        return _read(value, writer.parsed, reader.parsed)

    def _writer(self, schema_id: int) -> _Writer:
        writer = self._writers.get(schema_id)
        if writer is None:
            schema = self.store.schema(schema_id)
            parsed = parse(schema)
            name = parsed["name"] if isinstance(parsed, dict) and "name" in parsed else str(schema)
            head = _MAGIC + schema_id.to_bytes(4, "big")
            writer = self._writers[schema_id] = _Writer(head, parsed, name, fingerprint(schema))
        return writer

    def _prepare(self, cls: type) -> _Fixed:
        if cls.__name__ not in RECORDS or class_named(cls.__name__) is not cls:
            raise TypeError(f"{cls.__name__} is no record that travels on its own: those are {', '.join(RECORDS)}")
        schema = self.store.released_schema(f"{NAMESPACE}.{cls.__name__}")
        write, read = compile_record(schema, named_types(schema))
        made = self._fixed[cls] = _Fixed(twin(cls, schema), Reader(schema), write, read)
        return made


def _schema_id(value: bytes) -> int:
    if len(value) <= _HEAD - 1 or value[0] != 0:
        raise MalformedValue(f"the value is not Confluent-framed: {len(value)} bytes that start with {value[:8]!r}")
    schema_id = int.from_bytes(value[1:_HEAD], "big")
    if not 0 < schema_id <= _LAST_ID:
        raise MalformedValue(f"the value names schema {schema_id}: no schema can have this id")
    return schema_id


def _write(writer: _Writer, datum: Any) -> bytes:
    out = BytesIO()
    out.write(writer.head)
    try:
        fastavro.schemaless_writer(out, writer.parsed, datum)
    except UNFIT as error:
        raise MalformedValue(f"the data does not fit {writer.name}: {error}") from error
    return out.getvalue()


def _read(value: bytes, parsed: Any, reader: Any) -> Any:
    """In a union that can hold several named types, a value is (name, datum): that is what the two flags say."""
    source = BytesIO(value)
    source.seek(_HEAD)
    try:
        datum = fastavro.schemaless_reader(source, parsed, reader, True, True)
    except UNFIT as error:
        where = f"byte {source.tell()} of {len(value)}"
        raise MalformedValue(
            f"the bytes do not fit their schema near {where}: {type(error).__name__} {error}"
        ) from error
    _check_end(value, source.tell())
    return datum


def _check_end(value: bytes, end: int) -> None:
    if end != len(value):
        raise MalformedValue(f"{len(value) - end} bytes follow the end of the value")
