"""What one partition asks for, and gives back, of the budgets that it shares with others: when, and how much."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from aiosv3.router.ledger.books import Books
from aiosv3.router.ledger.caps import Capped
from aiosv3.router.ledger.fold import Booking
from aiosv3.schemas.money import LedgerEntry, LedgerKind

_CALLS: Final = 32
"""A lease is for so many calls like the last one, and"""
_PART: Final = 64
"""for at least this part of the cap: whichever is more."""
_LOW: Final = 2
"""More is asked for when less than this part of the last lease is left."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. ``repeat``: until a request is sent again under the same id. ``again``: until those that wait ask for
    more. ``pause``: after an answer of less than was needed, until somebody who comes then asks. ``idle``: since a
    budget was used last, until all of what is left of it is given back when others want it, not half.
    """

    repeat: float = 0.5
    again: float = 0.25
    pause: float = 1.0
    idle: float = 2.0


@dataclass(slots=True)
class _Standing:
    """Where this owner stands with one budget. Times are the loop's. ``amount``: of the last lease asked for."""

    limit: int = 0
    used: float = 0.0
    sent: float = -1e9
    answered: float = -1e9
    asked: LedgerEntry | None = None


class Borrower:
    """Asks for leases of one partition, and answers those who want them back.

    ``send`` appends an entry to the journal of the budget's own partition; nobody waits for it: what is lost is said
    again. ``give`` puts a return on the own log, and sends :meth:`report` once it counts.
    """

    def __init__(
        self,
        partition: int,
        books: Books,
        send: Callable[[LedgerEntry], None],
        give: Callable[[str, int], None],
        patience: Patience | None = None,
        asks: Callable[[str], None] = lambda _budget: None,
    ) -> None:
        self._partition = partition
        self._books = books
        self._send = send
        self._give = give
        self._patience = patience or Patience()
        self._asks = asks
        self._standing: dict[str, _Standing] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # -- asking ---------------------------------------------------------------------------------------------------

    def used(self, capped: Iterable[Capped], amount: int) -> None:
        """A call was booked: more is asked for before it runs out, and nobody waits for that."""
        for budget, limit in capped:
            standing = self._of(budget, limit)
            standing.used = self._now()
            lease = self._books.ahead.shared[budget]
            if standing.asked is None and lease.free < self._chunk(limit, amount) // _LOW and self._may(standing):
                self._ask(budget, standing, amount, 0)

    def wants(self, capped: Iterable[Capped], booking: Booking) -> None:
        """A call does not fit: all its budgets that lack something are asked, unless they have just said no."""
        for budget, limit in capped:
            standing = self._of(budget, limit)
            lease = self._books.ahead.lease(budget)
            if lease.free < booking.amount:
                if standing.asked is None and self._may(standing):
                    need = self._books.awaited(budget) + booking.amount - lease.free
                    self._ask(budget, standing, booking.amount, need)
                lease.asking = standing.asked is not None
                self._watch()  # over those that are going to wait for it

    def _of(self, budget: str, limit: int) -> _Standing:
        standing = self._standing.get(budget)
        if standing is None:
            standing = self._standing[budget] = _Standing()
        standing.limit = limit
        return standing

    def _may(self, standing: _Standing) -> bool:
        return self._now() >= standing.answered + self._patience.pause

    def _chunk(self, limit: int, amount: int) -> int:
        return max(amount * _CALLS, limit // _PART)

    def _ask(self, budget: str, standing: _Standing, amount: int, need: int) -> None:
        lease = self._books.ahead.lease(budget)
        number = lease.number + 1
        standing.asked = LedgerEntry(
            LedgerKind.LEASE_REQUEST,
            f"{budget}/{self._partition}/{number}",
            budget,
            max(need, self._chunk(standing.limit, amount)),
            partition=self._partition,
            number=number,
            need_usd_micros=need,
            limit_usd_micros=standing.limit,
            spent_usd_micros=lease.spent,
            reserved_usd_micros=lease.reserved,
            returned_usd_micros=self._books.agreed.lease(budget).returned,
        )
        self._say(standing, standing.asked)
        self._asks(budget)
        self._watch()

    def _say(self, standing: _Standing, entry: LedgerEntry) -> None:
        standing.sent = self._now()
        self._send(entry)

    # -- what comes -----------------------------------------------------------------------------------------------

    def heard(self, entry: LedgerEntry) -> None:
        """An entry of this partition's journal, after the books were told of it."""
        if entry.kind is LedgerKind.LEASE:
            standing = self._standing.get(entry.budget)
            if standing is not None and standing.asked is not None and entry.number >= standing.asked.number:
                less = entry.usd_micros < standing.asked.usd_micros
                standing.answered = self._now() if less else -1e9
                standing.asked = None
                self._books.answered(entry.budget)
        elif entry.kind is LedgerKind.LEASE_RECALL:
            self._recalled(entry.budget)

    def _recalled(self, budget: str) -> None:
        """Half of what is free, all of it where the budget is idle; in any case it is said how things stand."""
        standing = self._standing.get(budget)
        free = self._books.ahead.lease(budget).free
        idle = standing is None or self._now() >= standing.used + self._patience.idle
        amount = free if idle or free == 1 else free // 2
        if amount > 0:
            self._give(budget, amount)
        else:
            self.report(budget)

    def report(self, budget: str) -> None:
        """Says what this partition has spent, reserved and given back."""
        lease, agreed = self._books.ahead.lease(budget), self._books.agreed.lease(budget)
        self._send(
            LedgerEntry(
                LedgerKind.LEASE_RETURN,
                f"{budget}/{self._partition}/{lease.returns}",
                budget,
                0,
                partition=self._partition,
                number=lease.number,
                spent_usd_micros=lease.spent,
                reserved_usd_micros=lease.reserved,
                returned_usd_micros=agreed.returned,
            )
        )

    # -- time -----------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _watch(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(self._patience.again, self._look)

    def _look(self) -> None:
        """Requests without an answer are sent again; for those that still wait, more is asked for."""
        self._timer = None
        busy = False
        for budget, standing in list(self._standing.items()):
            waiting = self._books.awaited(budget)
            busy = busy or waiting > 0 or standing.asked is not None
            if standing.asked is not None:
                if self._now() >= standing.sent + self._patience.repeat:
                    self._say(standing, standing.asked)
            elif waiting:
                lease = self._books.ahead.lease(budget)
                if (need := waiting - lease.free) > 0:
                    lease.asking = True
                    self._ask(budget, standing, 0, need)
        if busy:
            self._watch()

    def forget(self) -> None:
        """Forgets the budgets that the books have forgotten."""
        for budget in [budget for budget in self._standing if budget not in self._books.ahead.shared]:
            del self._standing[budget]

    def close(self) -> None:
        """The ownership has ended."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
