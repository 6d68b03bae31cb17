from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.keys import KeyKind, KeyRecord
from aiosv3.streams.keys import KeyTable, Owner

OWNER = Owner("t", "s", Clearance.PUBLIC)
ONE = KeyRecord("1", KeyKind.DATA, "t", "s", "public", 1, "m", b"one")
TWO = replace(ONE, key_id="2", wrapped=b"two")


def gone(key: KeyRecord) -> KeyRecord:
    return replace(key, kind=KeyKind.SHREDDED, master=None, wrapped=None)


def table(*records: KeyRecord) -> KeyTable:
    made = KeyTable()
    for record in records:
        made.apply(record)
    return made


def test_the_first_key_of_an_owner_is_used_and_the_others_open() -> None:
    made = table(ONE, TWO)
    assert made.used(OWNER) == ONE
    assert made.get("2") == TWO
    assert made.used(OWNER._replace(subject=None)) is None
    assert made.of("t", "s") == [ONE, TWO]
    assert (len(made), made.all(), made.of("t", None)) == (2, [ONE, TWO], [])


def test_the_first_record_of_an_id_is_the_key() -> None:
    assert table(ONE, replace(ONE, wrapped=b"changed")).get("1") == ONE


def test_a_retired_key_makes_room_and_a_shredded_one_too() -> None:
    retired = replace(ONE, kind=KeyKind.RETIRED)
    assert table(ONE, TWO, retired).used(OWNER) == TWO
    assert table(ONE, TWO, retired).get("1") == retired
    assert table(ONE, gone(ONE)).used(OWNER) is None


def test_what_is_shredded_does_not_come_back() -> None:
    made = table(ONE, gone(ONE))
    assert not made.apply(ONE)
    assert not made.apply(replace(ONE, kind=KeyKind.RETIRED))
    assert made.apply(gone(ONE))
    assert made.get("1") == gone(ONE)


def test_a_class_that_there_is_not_changes_nothing() -> None:
    made = table(ONE)
    with pytest.raises(ValueError, match="no clearance"):
        made.apply(replace(ONE, key_id="9", clearance="secret"))
    assert len(made) == 1


kinds = st.sampled_from(KeyKind)
logs = st.lists(st.tuples(st.sampled_from("abc"), kinds, st.sampled_from(["public", "internal"])), max_size=12)


@settings(max_examples=100, deadline=None)
@given(logs)
def test_a_compacted_log_says_the_same_of_what_is_shredded(log: list[tuple[str, KeyKind, str]]) -> None:
    """An id is of one owner. Compaction keeps the last record of each; who shreds sees to it that it is that one."""
    classes: dict[str, str] = {}
    records = [KeyRecord(name, kind, "t", "s", classes.setdefault(name, label), 0) for name, kind, label in log]
    whole = table(*records)
    shredded = [record for record in whole.all() if record.kind is KeyKind.SHREDDED]
    records += shredded  # what a ring appends where a copy came after
    last = {record.key_id: index for index, record in enumerate(records)}
    compacted = table(*(record for index, record in enumerate(records) if last[record.key_id] == index))
    assert {r.key_id for r in compacted.all() if r.kind is KeyKind.SHREDDED} == {r.key_id for r in shredded}
