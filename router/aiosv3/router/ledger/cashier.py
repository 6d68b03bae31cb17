"""Money before a decision: what the best pool may cost is booked, waited for, or a cheaper pool is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from aiosv3.router.ledger.accounts import Short
from aiosv3.router.ledger.books import Books
from aiosv3.router.ledger.borrowing import Borrower
from aiosv3.router.ledger.caps import Capped, Caps
from aiosv3.router.ledger.fold import Booking, Ledger
from aiosv3.router.ledger.tally import Tally
from aiosv3.schemas.headers import Grant, Route
from aiosv3.schemas.records import StepFailure

if TYPE_CHECKING:
    from aiosv3.router.policy import Choice

_PATIENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Priced:
    """A choice whose money is booked. ``position``: of the router's journal, -1 where there is no ledger.

    ``short``: the budget for which it is refused.
    """

    choice: Choice
    booking: Booking | None = None
    position: int = -1
    short: Short | None = None


class _Till(NamedTuple):
    """Where the money of one partition is taken from."""

    books: Books
    borrower: Borrower | None


class Cashier:
    """The books of all partitions that this process owns. ``patience``: seconds that a request waits for money that
    may still come: from calls at work, or from other partitions. ``caps``: of tenants and agents."""

    def __init__(self, patience: float = _PATIENCE_S, caps: Caps | None = None) -> None:
        self._patience = patience
        self._caps = caps or None
        self._tills: dict[int, _Till] = {}
        self.tally = Tally()

    def opened(self, partition: int, books: Books, borrower: Borrower | None = None) -> None:
        """The ledger of a partition is restored."""
        self._tills[partition] = _Till(books, borrower)

    def closed(self, partition: int, books: Books) -> None:
        """The ownership has ended."""
        till = self._tills.get(partition)
        if till is not None and till.books is books:
            del self._tills[partition]

    def ledgers(self) -> list[Ledger]:
        """The ledgers of the partitions that this process owns."""
        return [till.books.ahead for till in list(self._tills.values())]

    def withdrawn(self, partition: int, priced: Priced) -> None:
        """The choice goes nowhere: its money is free again."""
        till = self._tills.get(partition)
        if till is not None and priced.booking is not None:
            till.books.withdrawn(priced.booking)

    def priced(
        self, partition: int, request_id: str, grant: Grant, route: Route, choose: Callable[[Route], Choice]
    ) -> Priced | Awaitable[Priced]:
        """The choice for a request, with its money; awaitable where it has to wait for some."""
        choice = choose(route)
        till = self._tills.get(partition)
        if till is None or choice.pool is None:
            return Priced(choice, None, -1 if till is None else till.books.position)
        capped: tuple[Capped, ...] = ()
        if self._caps is not None and choice.cost:
            capped = self._caps.of(grant.tenant, route.agent)
        budgets = tuple(one.budget for one in capped) if capped else ()
        booking = Booking(request_id, grant.root, choice.cost, grant.cap, budgets, grant.exp)
        short = till.books.ahead.short(booking)
        if short is None:
            return _taken(till, capped, choice, booking)
        asked = _Asked(till, booking, capped, choice, route, choose)
        if capped and till.borrower is not None:
            till.borrower.wants(capped, booking)
            short = till.books.ahead.short(booking) or short
        if short.passing and (future := till.books.waiting(short, booking)) is not None:
            self.tally.waited(short.budget)
            return self._patiently(asked, future)
        return self._counted(asked.within())

    async def _patiently(self, asked: _Asked, future: asyncio.Future[Short | None]) -> Priced:
        try:
            async with asyncio.timeout(self._patience):
                await future
        except TimeoutError:
            pass
        if not future.done() or future.cancelled() or future.result() is not None:
            return self._counted(asked.within())
        return _taken(asked.till, asked.capped, asked.choice, asked.booking)  # by all that was read meanwhile

    def _counted(self, priced: Priced) -> Priced:
        if priced.short is not None:
            self.tally.refused(priced.short.budget)
        return priced


class _Asked(NamedTuple):
    """One request in front of the till."""

    till: _Till
    booking: Booking
    capped: tuple[Capped, ...]
    choice: Choice
    route: Route
    choose: Callable[[Route], Choice]

    def within(self) -> Priced:
        """The best pool that what is left pays for; a refusal that names the budget where there is none."""
        books, wanted, limit = self.till.books, self.booking, self.route.usd_micros
        short = books.ahead.short(wanted)
        if short is None:
            return _taken(self.till, self.capped, self.choice, wanted)
        left = books.ahead.left(wanted) or 0
        cheaper = self.choose(replace(self.route, usd_micros=left if limit is None else min(left, limit)))
        booking = replace(wanted, amount=cheaper.cost)
        if cheaper.pool is not None and books.ahead.short(booking) is None:
            return _taken(self.till, self.capped, cheaper, booking)
        refused = replace(self.choice, pool=None, reason=str(short), cost=0, error=exceeded(short))
        return Priced(refused, None, books.position, short)


def _taken(till: _Till, capped: tuple[Capped, ...], choice: Choice, booking: Booking) -> Priced:
    """It is paid for."""
    till.books.decided(booking)
    if capped and till.borrower is not None:
        till.borrower.used(capped, booking.amount)
    return Priced(choice, booking, till.books.position)


def exceeded(short: Short) -> StepFailure:
    """The failure that the asker gets, with the way out of it."""
    return StepFailure("BudgetExceeded", f"{short}. More: aiosv3 budget grant {short.budget} USD", retryable=False)
