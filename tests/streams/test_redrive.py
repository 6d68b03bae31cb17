"""Dead letters read back, and what is sent for them: the original as it was, under an id that follows from the log."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.headers import CE_ID
from aiosv3.streams.deadletters import dead_letter, too_large_letter
from aiosv3.streams.log import Headers, Outgoing, Record
from aiosv3.streams.redrive import (
    REDRIVEN,
    REDRIVES,
    Letter,
    Letters,
    Mark,
    NotALetter,
    Place,
    mark_record,
    read_letter,
    redrive_id,
    redriven,
)

HEADERS: Headers = [("ce_source", b"shop"), (CE_ID, b"order-17"), ("own", b"\xff"), ("own", b"again")]
ORIGINAL = Record("aios.tasks.desk", 3, 77, 1_750_000_000_123, b"key", b"\x00value", HEADERS)
ERROR = MalformedValue("byte 0 is 7")


def appended(outgoing: Outgoing, partition: int = 1, offset: int = 5) -> Record:
    """As the broker gives it back."""
    return Record(outgoing.topic, partition, offset, 1_760_000_000_000, *outgoing[2:])


def letter(original: Record = ORIGINAL, offset: int = 5) -> Letter:
    found = read_letter(appended(dead_letter("aios.dead-letters", original, ERROR, "aios.agent.desk"), offset=offset))
    assert isinstance(found, Letter)
    return found


def test_a_letter_says_where_from_when_and_why() -> None:
    found = letter()
    assert (found.place, found.died_at) == (Place(1, 5), 1_760_000_000_000)
    assert (*found.origin, found.timestamp) == ("aios.tasks.desk", 3, 77, 1_750_000_000_123)
    assert (found.processor, found.error, found.message) == ("aios.agent.desk", "MalformedValue", "byte 0 is 7")
    assert (found.id, found.key, found.value, found.headers) == ("order-17", b"key", b"\x00value", HEADERS)
    assert (found.base, found.redrives) == ("order-17", 0)


def test_a_letter_without_the_value_has_none() -> None:
    found = read_letter(appended(too_large_letter("dead", ORIGINAL, ERROR, "p")))
    assert isinstance(found, Letter)
    assert found.value is None


@pytest.mark.parametrize("headers", [[], [(CE_ID, b"\xff")], [(CE_ID, b"")]])
def test_without_a_readable_id_it_is_named_as_admission_names_it(headers: Headers) -> None:
    assert letter(ORIGINAL._replace(headers=headers)).id == "desk-3-77"


def test_letters_of_spring_are_read_too() -> None:
    headers = [
        ("kafka_dlt-original-topic", b"orders"),
        ("kafka_dlt-original-partition", (2).to_bytes(4, "big")),
        ("kafka_dlt-original-offset", (9).to_bytes(8, "big")),
        ("kafka_dlt-original-timestamp", (1_750_000_000_123).to_bytes(8, "big")),
        ("kafka_dlt-exception-fqcn", b"java.lang.IllegalStateException"),
    ]
    found = read_letter(Record("dead", 0, 0, 5, None, None, headers))
    assert isinstance(found, Letter)
    assert (*found.origin, found.timestamp, found.error) == ("orders", 2, 9, 1_750_000_000_123, "IllegalStateException")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("kafka_dlt-original-topic", b"t")],
        [(f"kafka_dlt-original-{name}", b"x") for name in ("topic", "partition", "offset")],
        [(REDRIVEN, b"3")],
        [(REDRIVEN, b"3@17")],
    ],
)
def test_what_is_no_letter_is_said(headers: Headers) -> None:
    record = Record("dead", 0, 7, 5, None, b"[]", headers)
    with pytest.raises(NotALetter):
        read_letter(record)
    letters = Letters()
    letters.take(record)
    assert len(letters.strange) == 1


def test_the_original_goes_back_as_it_was() -> None:
    again = redriven(letter(), 1, b"\x00value")
    assert (again.topic, again.partition, again.key, again.value) == ("aios.tasks.desk", 3, b"key", b"\x00value")
    assert again.headers == [
        ("ce_source", b"shop"),
        (CE_ID, b"order-17.redrive-1"),
        ("own", b"\xff"),
        ("own", b"again"),
        (REDRIVES, b"1"),
    ]


def test_what_somebody_corrects_is_json_and_headers_can_be_changed() -> None:
    headers: Headers = [*HEADERS, ("content-type", b"application/avro"), ("ce_expirytime", b"never")]
    changes = {"own": b"new", "ce_expirytime": None, "ce_tenant": b"acme", "nothing": None}
    again = redriven(letter(ORIGINAL._replace(headers=headers)), 2, b"{}", changes, as_json=True)
    assert again.headers == [
        ("ce_source", b"shop"),
        (CE_ID, b"order-17.redrive-2"),
        ("own", b"new"),
        ("content-type", b"application/json"),
        ("ce_tenant", b"acme"),
        (REDRIVES, b"2"),
    ]


def mark(place: Place, record_id: str, number: int) -> Record:
    written = Mark(place, record_id, number, "ann", 1_760_000_000_000)
    return appended(mark_record("aios.dead-letters", written, letter()), place.partition, 99)


def test_a_mark_reads_back() -> None:
    outgoing = mark_record("aios.dead-letters", Mark(Place(1, 5), "order-17.redrive-1", 1, "ann", 0), letter())
    assert (outgoing.partition, outgoing.key) == (1, b"key")
    assert json.loads(outgoing.value or b"") == {
        "letter": "1@5",
        "id": "order-17.redrive-1",
        "redrive": 1,
        "topic": "aios.tasks.desk",
        "by": "ann",
        "at": "1970-01-01T00:00:00+00:00",
    }
    found = read_letter(appended(outgoing))
    assert found == Mark(Place(1, 5), "order-17.redrive-1", 1, "ann", 1_760_000_000_000)


def dead(*records: Record) -> Letters:
    letters = Letters()
    for record in records:
        letters.take(record)
    return letters


def death(record_id: str, offset: int, origin: int = 77) -> Record:
    original = ORIGINAL._replace(offset=origin, headers=[(CE_ID, record_id.encode())])
    return appended(dead_letter("d", original, ERROR, "p"), offset=offset)


def test_the_same_redrive_has_the_same_id_until_it_is_marked() -> None:
    letters = dead(death("a", 5))
    first = letters.by_place[Place(1, 5)]
    assert [redrive_id(first, letters.next_number(first)) for _ in range(2)] == ["a.redrive-1", "a.redrive-1"]
    letters.take(mark(Place(1, 5), "a.redrive-1", 1))
    assert redrive_id(first, letters.next_number(first)) == "a.redrive-2"
    assert [one.id for one in letters.redrives(first)] == ["a.redrive-1"]


def test_what_dies_again_goes_on_counting() -> None:
    letters = dead(death("a", 5), death("a.redrive-1", 6, origin=80))
    first, second = letters.by_place[Place(1, 5)], letters.by_place[Place(1, 6)]
    assert (second.base, second.redrives) == ("a", 1)
    # Its mark may be missing: who redrove it died before it was written.
    assert {redrive_id(one, letters.next_number(one)) for one in (first, second)} == {"a.redrive-2"}
    assert letters.redrives(second) == []


def test_copies_of_a_letter_are_one() -> None:
    letters = dead(death("a", 5), death("a", 6), death("b", 7, origin=78), mark(Place(1, 6), "a.redrive-1", 1))
    first, second, other = (letters.by_place[Place(1, offset)] for offset in (5, 6, 7))
    assert letters.redrives(first) == letters.redrives(second) != []
    assert letters.redrives(other) == []
    assert len(letters.with_id("a")) == 1
    assert letters.with_id("c") == []


@given(
    st.lists(
        st.tuples(st.text(max_size=5), st.binary(max_size=5)).filter(lambda pair: not pair[0].startswith("kafka_dlt-")),
        max_size=8,
    ),
    st.one_of(st.none(), st.binary(max_size=9)),
    st.integers(1, 9),
)
def test_whatever_died_comes_back_whole(headers: Headers, value: bytes | None, number: int) -> None:
    """But for its id and count, the redriven record is the original."""
    died = letter(ORIGINAL._replace(headers=headers, value=value))
    again = redriven(died, number, died.value)
    added = {CE_ID, REDRIVES}
    assert [pair for pair in again.headers if pair[0] not in added] == [p for p in headers if p[0] not in added]
    assert (again.key, again.value) == (b"key", value)
    assert [name for name, _ in again.headers].count(CE_ID) == 1


@pytest.mark.parametrize(("text", "place"), [("3@17", Place(3, 17)), ("3:17", None), ("@1", None), ("order-17", None)])
def test_places_are_read_as_they_are_written(text: str, place: Place | None) -> None:
    assert Place.parse(text) == place
    if place is not None:
        assert str(place) == text
