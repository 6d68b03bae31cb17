from __future__ import annotations

from aiosv3.router.ledger import burial, settlement
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import GRANT, ROUTE, Clearance, Grant, Route
from aiosv3.schemas.money import NEVER_CALLED, LedgerEntry, LedgerKind
from aiosv3.schemas.records import Completion, Outcome, Usage
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.log import Record


def test_a_settlement_is_its_completion_in_few_words() -> None:
    codec = Codec(SchemaStore())
    usage = Usage(1, 10, 5, 0, 20)
    completion = Completion(
        "r/1~2", "r", "r", "1", "a", 2, 7, 9, "h", 1, None, Outcome.OK, None, "cloud", "m", "stop", usage, 3
    )
    sent = settlement(Topics(), codec, completion)
    assert (sent.topic, sent.partition, sent.key) == ("aios.journal.router", None, b"r")
    said = codec.decode_as(LedgerEntry, sent.value or b"")
    assert said == LedgerEntry(LedgerKind.SETTLEMENT, "r/1~2", "tree/r", 20, 2, 9, "cloud")
    assert settlement(Topics(), codec, completion) == sent


def test_a_dead_letter_of_a_pool_ends_its_reservation_with_nothing() -> None:
    topics, codec = Topics(), Codec(SchemaStore())
    headers = [
        ("ce_id", b"r/1~2"),
        (GRANT, Grant("t", "r", Clearance.PUBLIC).encode()),
        (ROUTE, Route(None, 0.5, 1, 1, attempt=2).encode()),
    ]
    (sent,) = burial(topics, codec, "cloud", Record("p", 0, 0, 1, None, b"garbage", headers))
    assert (sent.topic, sent.key) == ("aios.journal.router", b"r")
    said = codec.decode_as(LedgerEntry, sent.value or b"")
    assert said == LedgerEntry(LedgerKind.SETTLEMENT, "r/1~2", "tree/r", 0, 2, NEVER_CALLED, "cloud")
    assert burial(topics, codec, "cloud", Record("p", 0, 0, 1, None, b"garbage", [])) == ()
