"""Settlements: what a call has cost, told to the router partition that reserved money for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import WireError
from aiosv3.schemas.money import LEDGER_TYPE, NEVER_CALLED, LedgerEntry, LedgerKind, tree_budget
from aiosv3.schemas.records import Completion
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.requests import Ask, read_request

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


def unused(topics: Topics, codec: Codec, request_id: str, ask: Ask, source: str) -> Outgoing:
    """The end of what was reserved for a request that no model is called for: it has cost nothing."""
    root = ask.grant.root
    entry = LedgerEntry(
        LedgerKind.SETTLEMENT, request_id, tree_budget(root), 0, ask.route.attempt, NEVER_CALLED, source
    )
    return entry_outgoing(topics, codec, entry, root.encode(), source.encode())


def burial(topics: Topics, codec: Codec, pool: str, record: Record) -> Sequence[Outgoing]:
    """The same for a request that has become a dead letter of a pool, as far as it says whose it is."""
    try:
        request = read_request(record)
    except WireError:
        return ()
    return (unused(topics, codec, request.id, request.body, pool),)


def entry_outgoing(topics: Topics, codec: Codec, entry: LedgerEntry, key: bytes, source: bytes) -> Outgoing:
    """``entry`` as an append to the router's journal."""
    headers = event(_TYPE, f"{entry.id}/{entry.kind.value.lower()}/{entry.epoch}", source, AVRO, b"")
    return Outgoing(topics.router_journal(), None, key, codec.encode(entry), headers)
