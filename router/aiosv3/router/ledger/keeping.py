"""The ledger of a partition on the topic ``ledger``, so that a restore need not begin where the logs do."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from aiosv3.router.ledger.states import lender_state, newest, state_of
from aiosv3.schemas.errors import AiosError, WireError
from aiosv3.schemas.money import LedgerState
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.log import Outgoing
from aiosv3.streams.tenure import all_appended, appended

if TYPE_CHECKING:
    from aiosv3.router.ledger.books import Books
    from aiosv3.schemas.codec import Codec
    from aiosv3.streams.log import Log

STATE_TYPE: Final = b"aiosv3.ledger-state"
_AT_ONCE: Final = 500
_FORGET_MS: Final = 3_600_000
"""A tree that ended so long ago gets no answers any more that anybody waits for."""
_LOG: Final = logging.getLogger(__name__)


class Keeper:
    """Writes the states of one partition and reads them. ``kept``: the place (own log, journal) that a restore can
    begin at, None while there is none."""

    def __init__(self, log: Log, codec: Codec, topic: str, partition: int) -> None:
        self._log = log
        self._codec = codec
        self._topic = topic
        self._partition = partition
        self.kept: tuple[int, int] | None = None

    async def restore(self) -> list[LedgerState]:
        """The states to begin with; :attr:`kept` says where they were taken."""
        found: dict[str, list[LedgerState]] = defaultdict(list)
        start, end = await self._log.bounds(self._topic, self._partition)
        if start < end:
            async for batch in self._log.read(self._topic, self._partition, start, end):
                for record in batch:
                    if record.value is not None:
                        if (state := await self._state(record.value)) is not None:
                            found[state.budget].append(state)
                    elif record.key is not None:
                        found.pop(record.key.decode().partition("/")[2], None)
        place, states = newest(found)
        self.kept = None if place is None else (place.own_position, place.journal_position)
        return states

    async def _state(self, value: bytes) -> LedgerState | None:
        try:
            return await self._codec.read_as(LedgerState, value)
        except WireError as error:
            _LOG.warning("%s[%s] has a state that cannot be read: %s", self._topic, self._partition, error)
            return None

    async def run(self, books: Books, clock_ms: int) -> None:
        """States what has changed since the last time. Raises :class:`AiosError` where the log does not take it."""
        place = books.folded, books.applied
        if place == self.kept or not books.settled:
            return
        gone = books.forget(clock_ms - _FORGET_MS)
        changed, lent = books.agreed.dirty, books.lending.dirty
        books.agreed.dirty, books.lending.dirty = set(), set()
        states = [state_of(books.agreed, budget, self._partition, *place) for budget in sorted(changed)]
        states += [lender_state(books.lending, budget, self._partition, *place) for budget in sorted(lent)]
        try:
            await self._write([state for state in states if state is not None], gone)
            await appended(self._log, self._record(LedgerState(self._partition, "", *place)))
        except AiosError:
            books.agreed.dirty |= changed
            books.lending.dirty |= lent
            raise
        self.kept = place

    async def _write(self, states: Sequence[LedgerState], gone: Sequence[str]) -> None:
        """So many at a time: a busy partition has thousands, and requests must not wait until all are encoded."""
        for start in range(0, len(states), _AT_ONCE):
            await all_appended(self._log, [self._record(state) for state in states[start : start + _AT_ONCE]])
        await all_appended(self._log, [self._gone(budget) for budget in gone])

    def _record(self, state: LedgerState) -> Outgoing:
        return self._outgoing(state.budget, self._codec.encode(state))

    def _gone(self, budget: str) -> Outgoing:
        return self._outgoing(budget, None)

    def _outgoing(self, budget: str, value: bytes | None) -> Outgoing:
        key = f"{self._partition}/{budget}"
        return Outgoing(self._topic, self._partition, key.encode(), value, event(STATE_TYPE, key, b"router", AVRO, b""))
