"""Settlements: what a call has cost, told to the router partition that reserved money for it."""

from __future__ import annotations

from typing import Final

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.money import LEDGER_TYPE, LedgerEntry, LedgerKind, tree_budget
from aiosv3.schemas.records import Completion
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.log import Outgoing

_TYPE: Final = LEDGER_TYPE.encode()


def settlement(topics: Topics, codec: Codec, completion: Completion) -> Outgoing:
    """Made from the completion alone, so every copy of it is the same. It goes to its tree's partition, by key."""
    entry = LedgerEntry(
        LedgerKind.SETTLEMENT,
        completion.request_id,
        tree_budget(completion.root_id),
        completion.usage.cost_usd_micros,
        completion.attempt,
        completion.epoch,
        completion.pool,
    )
    return entry_outgoing(topics, codec, entry, completion.root_id.encode(), completion.pool.encode())


def entry_outgoing(topics: Topics, codec: Codec, entry: LedgerEntry, key: bytes, source: bytes) -> Outgoing:
    """``entry`` as an append to the router's journal."""
    headers = event(_TYPE, f"{entry.id}/{entry.kind.value.lower()}/{entry.epoch}", source, AVRO, b"")
    return Outgoing(topics.router_journal(), None, key, codec.encode(entry), headers)
