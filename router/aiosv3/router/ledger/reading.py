"""The ledger as the two logs have it now, for people and programs that own nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from aiosv3.router.ledger.books import Books, Place
from aiosv3.router.ledger.fold import Booking
from aiosv3.router.ledger.keeping import Keeper
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import WireError
from aiosv3.schemas.headers import CE_TYPE
from aiosv3.schemas.money import LEDGER_TYPE, LedgerEntry, return_number
from aiosv3.schemas.records import Decision, DecisionOutcome
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.schemas.topics import Topics
from aiosv3.streams.log import Log, Record
from aiosv3.streams.ownlog import learn_from_headers

DECISION_TYPE: Final = b"aiosv3.decision"
"""``ce_type`` of what the router writes to its own log."""
_OURS: Final = frozenset({DECISION_TYPE, LEDGER_TYPE.encode()})
_LOG: Final = logging.getLogger(__name__)
T = TypeVar("T")


def place_of(codec: Codec, record: Record) -> Place | None:
    """What an own-log record of the router says of money; None: it is no decision."""
    if record.value is None:
        return None
    decision = codec.decode_as(Decision, record.value)
    if number := return_number(decision.request_id):
        given = Booking(decision.request_id, decision.root_id, decision.reserved_usd_micros, None, decision.budgets)
        return Place(record.offset, decision.ledger_position, given, True, number)
    if decision.outcome is not DecisionOutcome.ROUTED:
        return Place(record.offset, -1, Booking(decision.request_id, decision.root_id, 0), routed=False)
    booking = Booking(
        decision.request_id,
        decision.root_id,
        decision.reserved_usd_micros,
        decision.cap_usd_micros,
        decision.budgets,
        decision.expires_at,
    )
    return Place(record.offset, decision.ledger_position, booking)


def entry_of(codec: Codec, record: Record) -> LedgerEntry | None:
    """A record of the router's journal; None: it says nothing."""
    return None if record.value is None else codec.decode_as(LedgerEntry, record.value)


def said_in(record: Record, read: Callable[[Record], T | None]) -> T | None:
    """What ``read`` makes of a record of one of the two logs; None for what nobody can read.

    Raises UnresolvedSchema only for a record that says that it is the router's: it may be by a later release, and money
    must not be counted without it.
    """
    where = f"{record.topic}[{record.partition}]@{record.offset}"
    try:
        return read(record)
    except UnresolvedSchema:
        if record.header(CE_TYPE) in _OURS:
            raise
        _LOG.warning("%s is none of the router's records and is passed over", where)
    except WireError as error:
        _LOG.warning("%s says nothing that the ledger can read: %s", where, error)
    return None


async def read_books(log: Log, codec: Codec, topics: Topics, partition: int) -> Books:
    """The books of one partition by all that is on the log: whatever its owner knows or does not know yet."""
    keeper = Keeper(log, codec, topics.ledger(), partition)
    states = await keeper.restore()
    own, journal = keeper.kept or (0, 0)
    decisions = await log.bounds(topics.decisions(), partition)
    entries = await log.bounds(topics.router_journal(), partition)  # asked last: no decision names more than it has
    books = Books(own, max(journal, entries.start), states)
    if books.position < entries.end:
        async for batch in log.read(topics.router_journal(), partition, books.position, entries.end):
            for record in batch:
                books.told(record.offset, said_in(record, partial(entry_of, codec)))
    if max(own, decisions.start) < decisions.end:
        async for batch in log.read(topics.decisions(), partition, max(own, decisions.start), decisions.end):
            for record in batch:
                if learn_from_headers(record).id is not None:
                    books.read(record.offset, said_in(record, partial(place_of, codec)))
    books.read_up()
    return books
