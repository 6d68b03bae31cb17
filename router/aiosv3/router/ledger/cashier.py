"""Money before a decision: what the best pool may cost is booked, waited for, or a cheaper pool is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from aiosv3.router.ledger.books import Books
from aiosv3.router.ledger.fold import Booking, Short
from aiosv3.schemas.headers import Grant, Route
from aiosv3.schemas.records import StepFailure

if TYPE_CHECKING:
    from aiosv3.router.policy import Choice

_PATIENCE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Priced:
    """A choice whose money is booked. ``position``: of the router's journal, -1 where there is no ledger."""

    choice: Choice
    booking: Booking | None = None
    position: int = -1


class Cashier:
    """The books of all partitions that this process owns. ``patience``: seconds that a request waits for calls at work
    to be settled, where only what is reserved for them stands in its way."""

    def __init__(self, patience: float = _PATIENCE_S) -> None:
        self._patience = patience
        self._books: dict[int, Books] = {}

    def opened(self, partition: int, books: Books) -> None:
        """The ledger of a partition is restored."""
        self._books[partition] = books

    def closed(self, partition: int, books: Books) -> None:
        """The ownership has ended."""
        if self._books.get(partition) is books:
            del self._books[partition]

    def withdrawn(self, partition: int, priced: Priced) -> None:
        """The choice goes nowhere: its money is free again."""
        books = self._books.get(partition)
        if books is not None and priced.booking is not None:
            books.withdrawn(priced.booking)

    def priced(
        self, partition: int, request_id: str, grant: Grant, route: Route, choose: Callable[[Route], Choice]
    ) -> Priced | Awaitable[Priced]:
        """The choice for a request, with its money; awaitable where it has to wait for some."""
        choice = choose(route)
        books = self._books.get(partition)
        if books is None or choice.pool is None:
            return Priced(choice, None, -1 if books is None else books.position)
        booking = Booking(request_id, grant.root, choice.cost, grant.cap, (), grant.exp)
        short = books.ahead.short(booking)
        if short is None:
            books.decided(booking)
            return Priced(choice, booking, books.position)
        if short.passing and (future := books.waiting(short, booking)) is not None:
            return self._patiently(
                books, booking, choice, future, partial(_within, books, booking, choice, route, choose)
            )
        return _within(books, booking, choice, route, choose)

    async def _patiently(
        self,
        books: Books,
        booking: Booking,
        choice: Choice,
        future: asyncio.Future[Short | None],
        otherwise: Callable[[], Priced],
    ) -> Priced:
        try:
            async with asyncio.timeout(self._patience):
                await future
        except TimeoutError:
            pass
        if not future.done() or future.cancelled() or future.result() is not None:
            return otherwise()
        books.decided(booking)  # by all that was read meanwhile
        return Priced(choice, booking, books.position)


def _within(books: Books, wanted: Booking, choice: Choice, route: Route, choose: Callable[[Route], Choice]) -> Priced:
    """The best pool that what is left pays for; a refusal that names the budget where there is none."""
    short = books.ahead.short(wanted)
    if short is None:
        books.decided(wanted)
        return Priced(choice, wanted, books.position)
    left = books.ahead.left(wanted) or 0
    cheaper = choose(replace(route, usd_micros=left if route.usd_micros is None else min(left, route.usd_micros)))
    booking = replace(wanted, amount=cheaper.cost)
    if cheaper.pool is not None and books.ahead.short(booking) is None:
        books.decided(booking)
        return Priced(cheaper, booking, books.position)
    refused = replace(choice, pool=None, reason=str(short), cost=0, error=exceeded(short))
    return Priced(refused, None, books.position)


def exceeded(short: Short) -> StepFailure:
    """The failure that the asker gets, with the way out of it."""
    return StepFailure("BudgetExceeded", f"{short}. More: aiosv3 budget grant {short.budget} USD", retryable=False)
