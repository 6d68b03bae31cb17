from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiosv3.router.ledger import Booking, Books, Patience
from aiosv3.router.ledger.borrowing import Borrower
from aiosv3.router.ledger.caps import Capped
from aiosv3.schemas.money import LedgerEntry, LedgerKind

BUDGET = "tenant/acme"
LIMIT = 1_000
CAPPED = (Capped(BUDGET, LIMIT),)
SOON = Patience(repeat=0.02, again=0.01, pause=0.02, idle=60)


class Desk:
    """A borrower, what it sends, and the books that it works for."""

    def __init__(self, patience: Patience = SOON) -> None:
        self.books = Books(0, 0)
        self.sent: list[LedgerEntry] = []
        self.gave: list[tuple[str, int]] = []
        self.borrower = Borrower(3, self.books, self.sent.append, lambda *what: self.gave.append(what), patience)

    def booking(self, name: str, amount: int) -> Booking:
        return Booking(name, "r", amount, None, (BUDGET,))

    def lease(self, number: int, amount: int, spent: int = 0, held: int = 0) -> None:
        entry = LedgerEntry(
            LedgerKind.LEASE, f"3/{number}", BUDGET, amount, partition=3, number=number, limit_usd_micros=LIMIT,
            spent_usd_micros=spent, reserved_usd_micros=held,
        )  # fmt: skip
        self.books.told(self.books.position, entry)
        self.borrower.heard(entry)

    def recall(self) -> None:
        self.borrower.heard(LedgerEntry(LedgerKind.LEASE_RECALL, "x", BUDGET, 0, partition=3))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.001)


async def test_what_is_not_there_is_asked_for_under_one_id_until_there_is_an_answer() -> None:
    desk = Desk()
    desk.borrower.wants(CAPPED, desk.booking("a", 10))
    desk.borrower.wants(CAPPED, desk.booking("b", 10))
    (first,) = desk.sent
    assert (first.kind, first.budget, first.partition, first.number) == (LedgerKind.LEASE_REQUEST, BUDGET, 3, 1)
    assert (first.need_usd_micros, first.usd_micros, first.limit_usd_micros) == (10, 320, LIMIT)
    short = desk.books.ahead.short(desk.booking("a", 10))
    assert short is not None
    assert short.passing, "it waits for the answer"
    await desk.until(lambda: len(desk.sent) > 2)
    assert {entry.id for entry in desk.sent} == {first.id}
    desk.lease(1, 320)
    assert desk.books.ahead.short(desk.booking("a", 10)) is None
    desk.borrower.close()


async def test_more_is_asked_for_before_it_runs_out_and_nobody_waits() -> None:
    desk = Desk()
    desk.lease(1, 320)
    desk.books.decided(desk.booking("a", 10))
    desk.borrower.used(CAPPED, 10)
    assert desk.sent == []
    desk.books.decided(desk.booking("b", 160))
    desk.borrower.used(CAPPED, 10)
    (entry,) = desk.sent
    assert (entry.number, entry.need_usd_micros, entry.reserved_usd_micros) == (2, 0, 170)
    desk.borrower.close()


async def test_those_that_wait_ask_again_as_long_as_others_hold_money() -> None:
    desk = Desk()
    booking = desk.booking("a", 10)
    desk.borrower.wants(CAPPED, booking)
    short = desk.books.ahead.short(booking)
    assert short is not None
    future = desk.books.waiting(short, booking)
    assert future is not None
    desk.lease(1, 4, spent=500, held=496)
    assert not future.done()
    await desk.until(lambda: desk.sent[-1].number == 2)
    assert desk.sent[-1].need_usd_micros == 6
    desk.lease(2, 0, spent=996, held=0)
    short = future.result()
    assert short is not None
    assert "budget tenant/acme: 0.000996 of 0.001000" in str(short)
    desk.borrower.close()


async def test_after_a_no_nobody_asks_for_a_while() -> None:
    desk = Desk(Patience(pause=60))
    desk.borrower.wants(CAPPED, desk.booking("a", 10))
    desk.lease(1, 0, spent=LIMIT)
    desk.borrower.wants(CAPPED, desk.booking("b", 10))
    assert len(desk.sent) == 1
    short = desk.books.ahead.short(desk.booking("b", 10))
    assert short is not None
    assert not short.passing
    desk.borrower.close()


async def test_what_others_want_is_given_back_half_of_it_where_it_is_in_use() -> None:
    desk = Desk()
    desk.lease(1, 100)
    desk.recall()
    assert desk.gave == [(BUDGET, 100)]
    desk.books.decided(desk.booking("a", 40))
    desk.borrower.used(CAPPED, 40)
    desk.recall()
    assert desk.gave[1:] == [(BUDGET, 30)]
    desk.borrower.close()


async def test_whoever_has_nothing_to_give_says_how_things_stand() -> None:
    desk = Desk()
    desk.lease(1, 40)
    desk.books.decided(desk.booking("a", 40))
    desk.recall()
    (entry,) = desk.sent
    assert desk.gave == []
    assert (entry.kind, entry.number, entry.reserved_usd_micros) == (LedgerKind.LEASE_RETURN, 1, 40)
    desk.borrower.close()


async def test_what_the_books_forget_is_forgotten() -> None:
    desk = Desk()
    desk.borrower.wants(CAPPED, desk.booking("a", 10))
    desk.books.ahead.shared.clear()
    desk.borrower.forget()
    count = len(desk.sent)
    desk.borrower.wants(CAPPED, desk.booking("a", 10))
    assert len(desk.sent) == count + 1
    desk.borrower.close()


async def test_what_is_on_its_way_back_is_not_told_before_it_holds() -> None:
    desk = Desk()
    desk.lease(1, 100)
    place = desk.books.returning(BUDGET, 60)
    assert place is not None
    desk.borrower.report(BUDGET)
    desk.borrower.wants(CAPPED, desk.booking("a", 50))
    assert [entry.returned_usd_micros for entry in desk.sent] == [0, 0]
    desk.books.placed(0, BUDGET, place.booking.id)
    desk.borrower.report(BUDGET)
    assert desk.sent[-1].returned_usd_micros == 60
    desk.borrower.close()


async def test_what_did_not_get_onto_the_log_is_free_again() -> None:
    desk = Desk()
    desk.lease(1, 100)
    place = desk.books.returning(BUDGET, 60)
    assert place is not None
    desk.books.unreturned(place)
    assert desk.books.ahead.lease(BUDGET).free == 100
    desk.borrower.close()
