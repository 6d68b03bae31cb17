from __future__ import annotations

import pytest

from aiosv3.schemas.errors import MalformedHeader
from aiosv3.schemas.headers import CE_ID, GRANT, REPLY, ROUTE, TRACEPARENT, Clearance, Grant, Reply, Route
from aiosv3.streams.log import Record
from aiosv3.streams.requests import read_request

ALL = [
    (CE_ID, b"t/1"),
    (TRACEPARENT, b"00-trace"),
    (GRANT, Grant("acme", "root", Clearance.INTERNAL).encode()),
    (ROUTE, Route("a", 0.2, 1, 1, first_sent=5, hash="h").encode()),
    (REPLY, Reply("aios.journal.a", 0, 7, "t", "1", "token").encode()),
]


def record(*without: str, more: tuple[tuple[str, bytes], ...] = ()) -> Record:
    return Record(
        "aios.tools.office", 0, 1, 9, None, b"", [header for header in ALL if header[0] not in without] + [*more]
    )


def test_a_request_is_read_by_its_headers() -> None:
    request = read_request(record())
    assert (request.id, request.first_sent) == ("t/1", 5)
    ask = request.body
    assert (ask.grant.tenant, ask.route.hash, ask.reply.token, ask.traceparent) == ("acme", "h", "token", b"00-trace")


def test_what_was_made_for_it_is_taken_once_and_only_for_its_own_value() -> None:
    """Another owner's record may be the first of the request: that one holds something else, and has to be read."""
    ask = read_request(record()).body
    value, equal = b"an answer", bytes(bytearray(b"an answer"))
    assert ask.take_made(value) is None
    ask.made = value, "made"
    assert ask.take_made(value) == "made"
    assert ask.take_made(value) is None
    ask.made = value, "made"
    assert ask.take_made(equal) is None


def test_what_may_be_missing() -> None:
    never_sent = (ROUTE, Route("a", 0.2, 1, 1, hash="h").encode())
    request = read_request(record(REPLY, TRACEPARENT, ROUTE, more=(never_sent,)))
    assert (request.body.reply, request.body.traceparent, request.first_sent) == (None, b"", 9)


@pytest.mark.parametrize("name", [CE_ID, GRANT, ROUTE])
def test_what_may_not_be_missing(name: str) -> None:
    with pytest.raises(MalformedHeader):
        read_request(record(name))


def test_an_id_is_text() -> None:
    with pytest.raises(MalformedHeader, match="not UTF-8"):
        read_request(record(CE_ID, more=((CE_ID, b"\xff"),)))
