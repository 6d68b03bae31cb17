from __future__ import annotations

import pytest

from aiosv3.app.tracing import Membership
from aiosv3.app.tracing.membership import root_of
from aiosv3.schemas.headers import Clearance, Grant
from aiosv3.streams.log import Record


def record(record_id: str | None, **headers: bytes) -> Record:
    ids = [] if record_id is None else [("ce_id", record_id.encode())]
    return Record(
        "t", 0, 0, 0, None, None, [*ids, *((name.replace("_", "-"), value) for name, value in headers.items())]
    )


@pytest.mark.parametrize("found", ["t1", "t1~2", "t1/1", "t1/1~3", "t1/1/2", "t1!cancel"])
def test_steps_attempts_and_children_belong_to_a_task(found: str) -> None:
    assert Membership("t1").holds(record(found))


@pytest.mark.parametrize("found", ["t10", "t10/1", "other", "", "t1~x", None])
def test_others_do_not(found: str | None) -> None:
    assert not Membership("t1").holds(record(found))


def test_a_grant_or_a_subject_that_names_the_root_is_enough() -> None:
    grant = Grant("acme", 'order "ä"', Clearance.PUBLIC).encode()
    assert Membership('order "ä"').holds(record("x", aios_grant=grant))
    assert not Membership("order").holds(record("x", aios_grant=grant))
    assert Membership("t1").holds(Record("t", 0, 0, 0, None, None, [("ce_subject", b"t1")]))


def test_the_root_of_a_record() -> None:
    assert root_of(record("x", aios_grant=Grant("acme", "r", Clearance.PUBLIC).encode())) == "r"
    assert [root_of(record("x", aios_grant=value)) for value in (b"{", b"[]", b'{"root":1}')] == [None, None, None]
    assert root_of(record("x")) is None
