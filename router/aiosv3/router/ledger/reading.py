"""The ledger as the two logs have it now, for people and programs that own nothing."""

from __future__ import annotations

from aiosv3.router.ledger.books import Books, Place
from aiosv3.router.ledger.fold import Booking
from aiosv3.router.ledger.keeping import Keeper
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.money import LedgerEntry, return_number
from aiosv3.schemas.records import Decision, DecisionOutcome
from aiosv3.schemas.topics import Topics
from aiosv3.streams.log import Log, Record
from aiosv3.streams.ownlog import learn_from_headers


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
                books.told(record.offset, entry_of(codec, record))
    if max(own, decisions.start) < decisions.end:
        async for batch in log.read(topics.decisions(), partition, max(own, decisions.start), decisions.end):
            for record in batch:
                if learn_from_headers(record).id is not None:
                    books.read(record.offset, place_of(codec, record))
    books.read_up()
    return books
