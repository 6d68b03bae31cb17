from __future__ import annotations

from aiosv3.router.ledger import settlement
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.money import LedgerEntry, LedgerKind
from aiosv3.schemas.records import Completion, Outcome, Usage
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics


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
