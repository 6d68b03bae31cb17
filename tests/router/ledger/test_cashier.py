from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiosv3.router.ledger import Booking, Books, Cashier
from aiosv3.router.ledger.cashier import Priced
from aiosv3.router.policy import Choice
from aiosv3.router.pools import Pool
from aiosv3.schemas.headers import Clearance, Grant, Route
from aiosv3.schemas.money import LedgerEntry, LedgerKind, tree_budget

GRANT = Grant("t", "r", Clearance.PUBLIC, cap=100)
ROUTE = Route(None, 0.5, 1, 1)
GOOD, CHEAP = Pool("good", "openai", "m"), Pool("cheap", "openai", "s")


def choosing(*prices: tuple[Pool, int]) -> Callable[[Route], Choice]:
    """The first pool within the limit of the route."""

    def choose(route: Route) -> Choice:
        for pool, cost in prices:
            if route.usd_micros is None or cost <= route.usd_micros:
                return Choice(pool, "best", (), cost)
        return Choice(None, "none", ())

    return choose


def opened(patience: float = 0.01) -> tuple[Cashier, Books]:
    cashier, books = Cashier(patience), Books(0, 0)
    books.read_up()
    cashier.opened(0, books)
    return cashier, books


def spent(books: Books, amount: int) -> None:
    books.told(books.position, LedgerEntry(LedgerKind.SETTLEMENT, f"s{books.position}", tree_budget("r"), amount))


def test_without_books_nothing_is_booked() -> None:
    priced = Cashier().priced(0, "a", GRANT, ROUTE, choosing((GOOD, 1_000)))
    assert priced == Priced(Choice(GOOD, "best", (), 1_000), None, -1)


def test_what_fits_is_booked_at_the_position_that_was_read() -> None:
    cashier, books = opened()
    spent(books, 10)
    priced = cashier.priced(0, "a", GRANT, ROUTE, choosing((GOOD, 60)))
    assert isinstance(priced, Priced)
    assert (priced.booking, priced.position) == (Booking("a", "r", 60, 100), 1)
    assert books.ahead.tree("r").reserved == 60


def test_what_is_left_pays_for_a_cheaper_pool() -> None:
    cashier, books = opened()
    spent(books, 70)
    priced = cashier.priced(0, "a", GRANT, ROUTE, choosing((GOOD, 60), (CHEAP, 20)))
    assert isinstance(priced, Priced)
    assert priced.choice.pool is CHEAP
    assert books.ahead.tree("r").reserved == 20


def test_a_refusal_names_the_budget_and_books_nothing() -> None:
    cashier, books = opened()
    spent(books, 70)
    priced = cashier.priced(0, "a", GRANT, ROUTE, choosing((GOOD, 60)))
    assert isinstance(priced, Priced)
    assert priced.choice.error is not None
    assert "tree/r" in priced.choice.error.message
    assert (priced.choice.pool, priced.choice.cost, books.ahead.tree("r").reserved) == (None, 0, 0)


async def test_what_only_reservations_stand_in_the_way_of_waits_for_them() -> None:
    cashier, books = opened(patience=20)
    cashier.priced(0, "a", GRANT, ROUTE, choosing((GOOD, 60)))
    later = cashier.priced(0, "b", GRANT, ROUTE, choosing((GOOD, 60), (CHEAP, 20)))
    assert not isinstance(later, Priced)
    waiting = asyncio.ensure_future(later)
    await asyncio.sleep(0)
    books.told(0, LedgerEntry(LedgerKind.SETTLEMENT, "a", tree_budget("r"), 5))
    priced = await waiting
    assert (priced.choice.pool, priced.position) == (GOOD, 1)


async def test_waiting_ends_with_a_cheaper_pool_or_a_refusal() -> None:
    cashier, _ = opened()
    cashier.priced(0, "a", GRANT, ROUTE, choosing((GOOD, 60)))
    for choose, pool in ((choosing((GOOD, 60), (CHEAP, 20)), CHEAP), (choosing((GOOD, 60)), None)):
        later = cashier.priced(0, f"{pool}", GRANT, ROUTE, choose)
        assert not isinstance(later, Priced)
        assert (await later).choice.pool is pool


def test_books_that_were_closed_are_not_asked_and_others_stay() -> None:
    cashier, books = opened()
    cashier.closed(0, Books(0, 0))
    cashier.priced(0, "a", GRANT, ROUTE, choosing((GOOD, 60)))
    assert books.ahead.tree("r").reserved == 60
    cashier.closed(0, books)
    assert cashier.priced(0, "b", GRANT, ROUTE, choosing((GOOD, 90))) == Priced(Choice(GOOD, "best", (), 90), None, -1)
