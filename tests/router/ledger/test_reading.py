from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from aiosv3.router.ledger import Booking
from aiosv3.router.ledger.books import Place
from aiosv3.router.ledger.reading import DECISION_TYPE, entry_of, place_of, said_in
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.money import LedgerEntry, LedgerKind, return_id
from aiosv3.schemas.records import Decision, DecisionOutcome
from aiosv3.schemas.store import SchemaStore, UnresolvedSchema
from aiosv3.streams.log import Record

ROUTED = Decision(
    "r/1", "r", "r", 1, 0, 0, "h", 1, None, DecisionOutcome.ROUTED, "cloud", "m", "", (), "1", "1",
    ledger_position=7, reserved_usd_micros=60, cap_usd_micros=100, expires_at=9,
)  # fmt: skip


@pytest.fixture
def codec() -> Codec:
    return Codec(SchemaStore())


def record(value: bytes | None) -> Record:
    return Record("t", 0, 5, 1, None, value, [])


def test_a_decision_books_what_it_says(codec: Codec) -> None:
    place = place_of(codec, record(codec.encode(ROUTED)))
    assert place == Place(5, 7, Booking("r/1", "r", 60, 100, (), 9))


def test_a_refusal_books_nothing_for_good(codec: Codec) -> None:
    refused = replace(ROUTED, outcome=DecisionOutcome.REFUSED, pool=None)
    assert place_of(codec, record(codec.encode(refused))) == Place(5, -1, Booking("r/1", "r", 0), routed=False)


def test_a_return_books_what_it_gives_back(codec: Codec) -> None:
    name = return_id("tenant/acme", 3)
    given = replace(
        ROUTED, request_id=name, root_id="tenant/acme", outcome=DecisionOutcome.REFUSED, budgets=("tenant/acme",)
    )
    booking = Booking(name, "tenant/acme", 60, None, ("tenant/acme",))
    assert place_of(codec, record(codec.encode(given))) == Place(5, 7, booking, returns=3)


def test_markers_say_nothing(codec: Codec) -> None:
    assert place_of(codec, record(None)) is None
    assert entry_of(codec, record(None)) is None


def test_garbage_says_nothing_and_only_what_says_that_it_is_the_routers_asks_for_its_schema(codec: Codec) -> None:
    nobodys = b"\0\x3b\x9a\xca\0of a schema that nobody has"
    for garbage in (b"noise", b"", nobodys):
        assert said_in(record(garbage), partial(entry_of, codec)) is None
    ours = record(nobodys)._replace(headers=[("ce_type", DECISION_TYPE)])
    with pytest.raises(UnresolvedSchema):
        said_in(ours, partial(place_of, codec))


def test_an_entry_is_read_as_it_was_written(codec: Codec) -> None:
    entry = LedgerEntry(LedgerKind.GRANT, "g", "tree/r", 5, by="ann")
    assert entry_of(codec, record(codec.encode(entry))) == entry
