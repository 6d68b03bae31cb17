from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosv3.schemas import records
from aiosv3.schemas.classes import class_named
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import MalformedValue, UnknownSchema, WireError
from aiosv3.schemas.parsed import parse
from aiosv3.schemas.records import Answer, Completion, Decision, JournalRecord, Outcome, PoolStatus, Usage
from aiosv3.schemas.released import RECORDS, load_lock
from aiosv3.schemas.store import SchemaStore, UnregisteredSubject, UnresolvedSchema
from aiosv3.schemas.twins import twin

CODEC = Codec(SchemaStore())
INTS = {
    "attempt",
    "calls",
    "partition",
    "source_partition",
    "model_calls",
    "max_tokens",
    "in_flight",
    "server_running",
    "server_waiting",
    "limit",
    "failures",
    "partitions",
    "sequence",
    "number",
    "returns",
    "position",
    "trust",
    "min_trust",
    "k",
}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    bytes: st.binary(max_size=12),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    type(None): st.none(),
}


def values(annotation: Any, name: str) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(argument, name) for argument in arguments])
    if origin is tuple:
        return st.lists(values(arguments[0], name), max_size=3).map(tuple)
    if annotation is int:
        return st.integers(-(2**31), 2**31 - 1) if name in INTS else st.integers(-(2**63), 2**63 - 1)
    if annotation in PLAIN:
        return PLAIN[annotation]
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    return instances(annotation)


def instances(cls: Any) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{field.name: values(hints[field.name], field.name) for field in dataclasses.fields(cls)})


def by_fastavro(record: Any) -> bytes:
    schema = CODEC.store.released_schema(f"aiosv3.{type(record).__name__}")
    out = BytesIO()
    out.write(CODEC.encode(record)[:5])
    fastavro.schemaless_writer(out, parse(schema), twin(type(record), schema).to_datum(record))
    return out.getvalue()


def read_by_fastavro(cls: Any, value: bytes) -> Any:
    """Without the compiled reader: a codec uses it from the second value of a schema on."""
    return Codec(SchemaStore()).decode_as(cls, value)


def completion(**changes: Any) -> Completion:
    made = Completion(
        *("q-1", "root", "task", "step", "triage", 1, 10, 5, "hash", 1_700_000_000_000, None, Outcome.OK, None),
        *("local", "smol", "stop", Usage(1, 100, 20, 0, 1234), 812),
    )
    return dataclasses.replace(made, **changes)


@pytest.mark.parametrize("name", RECORDS)
def test_each_record_survives_the_wire(name: str) -> None:
    cls = class_named(name)

    @given(instances(cls))
    def survives(record: Any) -> None:
        value = CODEC.encode(record)
        assert CODEC.decode_as(cls, value) == record
        assert CODEC.decode(value).name == f"aiosv3.{name}"

    survives()


@pytest.mark.parametrize("name", RECORDS)
def test_compiled_writers_and_readers_do_what_fastavro_does(name: str) -> None:
    cls = class_named(name)

    @settings(max_examples=50)
    @given(instances(cls), st.data())
    def agree(record: Any, data: st.DataObject) -> None:
        value = CODEC.encode(record)
        assert value == by_fastavro(record)
        assert read_by_fastavro(cls, value) == CODEC.decode_as(cls, value) == record
        changed = bytearray(value)
        changed[data.draw(st.integers(5, len(value) - 1))] = data.draw(st.integers(0, 255))
        with suppress(MalformedValue):
            mine = CODEC.decode_as(cls, bytes(changed))
            assert repr(mine) == repr(read_by_fastavro(cls, bytes(changed)))

    agree()


def test_numbers_have_the_range_that_their_type_says() -> None:
    for changes in ({"attempt": 2**31}, {"attempt": -(2**31) - 1}, {"epoch": 2**63}, {"epoch": 1.5}, {"epoch": None}):
        with pytest.raises(MalformedValue, match=r"does not fit aiosv3\.Completion"):
            CODEC.encode(completion(**changes))


def test_blocks_of_arrays_may_say_their_size() -> None:
    decision = Decision(
        *("r", "r", "t", 1, 1, 1, "h", 1, None, records.DecisionOutcome.ROUTED, None, None, ""),
        (records.Candidate("p", True, "ok"), records.Candidate("q", False, "no")),
        *("1", "1"),
    )
    value = CODEC.encode(decision)
    one, two = (bytes([2, pool, ok, 4]) + why + b"\0" * 7 for pool, ok, why in ((112, 1, b"ok"), (113, 0, b"no")))
    assert b"\4" + one + two + b"\0" in value
    sized = b"\1" + bytes([2 * len(one)]) + one + b"\1" + bytes([2 * len(two)]) + two + b"\0"
    assert CODEC.decode_as(Decision, value.replace(b"\4" + one + two + b"\0", sized)) == decision


def test_the_framing_is_confluents() -> None:
    value = CODEC.encode(completion())
    ids = {release.name: release.id for release in load_lock()}
    assert value[0] == 0
    assert int.from_bytes(value[1:5], "big") == ids["aiosv3.Completion"] == CODEC.decode(value).schema_id


def test_content_says_whether_it_is_sealed() -> None:
    plain, sealed = completion(content=Answer("hi")), completion(content=b"\0\1", content_key_id="k")
    assert CODEC.decode_as(Completion, CODEC.encode(plain)) == plain
    assert CODEC.decode_as(Completion, CODEC.encode(sealed)) == sealed


def test_generic_data_are_plain() -> None:
    datum = CODEC.decode(CODEC.encode(completion(content=Answer("hi")))).datum
    assert datum["first_sent"] == 1_700_000_000_000
    assert datum["outcome"] == "OK"
    assert datum["content"] == {"text": "hi", "tool_calls": None}


def test_an_id_that_is_not_in_memory_is_unresolved() -> None:
    with pytest.raises(UnresolvedSchema) as caught:
        CODEC.decode(b"\0\0\0\0\7rest")
    assert caught.value.schema_id == 7
    assert not isinstance(caught.value, WireError)


async def test_reading_fetches_a_schema_and_says_what_nobody_has(tmp_path: Path) -> None:
    """Whoever passes over what is unreadable must hear of it as of any other garbage: by a WireError."""
    here, elsewhere = SchemaStore(tmp_path / "lock.json"), SchemaStore(tmp_path / "lock.json")
    later: Any = json.loads(json.dumps(here.released_schema("aiosv3.Completion")))
    later["fields"].append({"name": "later", "type": ["null", "string"], "default": None})
    schema_id = await here.register("x-value", later)
    value, written = completion(content=None), bytearray(CODEC.encode(completion(content=None)) + b"\0")
    written[1:5] = schema_id.to_bytes(4, "big")
    with pytest.raises(UnresolvedSchema):
        Codec(elsewhere).decode_as(Completion, bytes(written))
    assert await Codec(elsewhere).read_as(Completion, bytes(written)) == value
    with pytest.raises(UnknownSchema):
        await Codec(elsewhere).read_as(Completion, b"\0\0\0\0\7rest")


@pytest.mark.parametrize(
    "value", [b"", b"\0", b"\0\0\0\0", b"\1\0\0\0\1", b'{"a": 1}', b"\0\0\0\0\0", b"\0\xff\xff\xff\xff"]
)
def test_what_is_not_framed_is_malformed(value: bytes) -> None:
    with pytest.raises(MalformedValue):
        CODEC.decode(value)


def test_another_record_is_malformed_and_both_are_named() -> None:
    with pytest.raises(MalformedValue, match=r"aiosv3\.Completion .* aiosv3\.Decision"):
        CODEC.decode_as(Decision, CODEC.encode(completion()))


def test_bytes_after_the_end_are_malformed() -> None:
    value = CODEC.encode(completion())
    assert CODEC.decode_as(Completion, value) == completion()
    for read in (
        CODEC.decode,
        partial(CODEC.decode_as, Completion),
        partial(Codec(SchemaStore()).decode_as, Completion),
    ):
        with pytest.raises(MalformedValue, match="1 bytes follow"):
            read(value + b"\0")


def test_every_truncation_is_malformed() -> None:
    value = CODEC.encode(completion(content=Answer("hi")))
    for length in range(len(value)):
        with pytest.raises(MalformedValue):
            CODEC.decode_as(Completion, value[:length])


@given(st.sampled_from(load_lock()), st.binary(max_size=80))
def test_random_bodies_only_give_wire_errors(release: Any, body: bytes) -> None:
    only_known_errors(b"\0" + release.id.to_bytes(4, "big") + body)


@given(st.binary(max_size=40))
def test_random_values_only_give_known_errors(value: bytes) -> None:
    only_known_errors(value)


@given(instances(JournalRecord), st.data())
def test_changed_bytes_only_give_wire_errors(record: JournalRecord, data: st.DataObject) -> None:
    value = bytearray(CODEC.encode(record))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(5, len(value) - 1))] = data.draw(st.integers(0, 255))
    only_known_errors(bytes(value))


def only_known_errors(value: bytes) -> None:
    reads: list[Callable[[bytes], object]] = [
        CODEC.decode,
        *(partial(CODEC.decode_as, class_named(name)) for name in RECORDS),
    ]
    for read in reads:
        with suppress(WireError, UnresolvedSchema):
            read(value)


def test_data_that_do_not_fit_are_malformed() -> None:
    with pytest.raises(MalformedValue, match=r"aiosv3\.Completion"):
        CODEC.encode(completion(attempt="first"))
    with pytest.raises(MalformedValue):
        CODEC.encode(completion(latency_ms=2**70))


def test_only_records_are_encoded() -> None:
    for value in (object(), Answer("part of a record")):
        with pytest.raises(TypeError, match="travels on its own"):
            CODEC.encode(value)


def test_a_subject_without_a_schema() -> None:
    with pytest.raises(UnregisteredSubject, match="nobody"):
        CODEC.encode_value("nobody", {})


async def test_an_older_release_is_read_with_defaults() -> None:
    store = SchemaStore()
    codec = Codec(store)
    schema = store.schema(codec.decode(codec.encode(status())).schema_id)
    old = {**schema, "fields": [field for field in schema["fields"] if field["name"] != "note"]}
    await store.register("pools-value", old)
    datum = codec.decode(codec.encode(status())).datum
    value = codec.encode_value("pools-value", datum)
    for _ in range(2):
        assert codec.decode_as(PoolStatus, value) == dataclasses.replace(status(), note="")


async def test_a_schema_that_contains_itself_is_refused_before_its_values_end_the_process() -> None:
    store = SchemaStore()
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    await store.register("trees-value", node)
    head = b"\0" + store.subject_id("trees-value").to_bytes(4, "big")
    with pytest.raises(MalformedValue, match="contains itself"):
        Codec(store).decode(head + b"\2" * 1_000_000)


def status() -> PoolStatus:
    return PoolStatus("p", "r", records.PoolState.UP, "vllm", "m", "internal", 1, 2, None, 0, None, 5, "fine")
