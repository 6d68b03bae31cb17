from __future__ import annotations

import asyncio

from aiosv3.router.ledger import Booking, Books
from aiosv3.router.ledger.books import Place
from aiosv3.schemas.money import LedgerEntry, LedgerKind, tree_budget

CAP = 100


def booking(name: str, amount: int, root: str = "r") -> Booking:
    return Booking(name, root, amount, CAP)


def settled(name: str, cost: int, epoch: int = 1) -> LedgerEntry:
    return LedgerEntry(LedgerKind.SETTLEMENT, name, tree_budget("r"), cost, 1, epoch)


def test_what_i_decide_is_booked_before_the_log_has_it_and_holds_at_its_place() -> None:
    books = Books(0, 0)
    books.decided(booking("a", 60))
    assert books.ahead.short(booking("b", 60)) is not None
    books.placed(5, "r", "a")
    assert books.void("r", "a") is None
    assert (books.agreed.tree("r").reserved, books.folded) == (60, 6)


def test_rule_26_a_foreign_decision_between_makes_mine_void() -> None:
    books = Books(0, 0)
    books.decided(booking("mine", 60))
    books.read(3, Place(3, 0, booking("foreign", 60)))
    books.placed(4, "r", "mine")
    assert books.void("r", "mine") is not None
    assert books.void("r", "foreign") is None
    assert books.ahead.tree("r").reserved == 60, "mine takes nothing any more"


def test_rule_26_the_first_decision_of_an_id_counts_with_its_money() -> None:
    books = Books(0, 0)
    books.decided(booking("a", 10))
    books.read(3, Place(3, 0, booking("a", 70)))
    assert books.agreed.tree("r").reserved == books.ahead.tree("r").reserved == 70


def test_a_second_record_of_what_was_void_or_refused_takes_nothing() -> None:
    books = Books(0, 0)
    books.read(1, Place(1, 0, booking("void", CAP + 1)))
    books.read(2, Place(2, -1, booking("refused", 0), routed=False))
    for offset, name in enumerate(("void", "refused"), 3):
        books.read(offset, Place(offset, 0, booking(name, 10)))
    assert books.ahead.tree("r").reserved == books.agreed.tree("r").reserved == 0


def test_a_refusal_that_came_first_makes_a_later_decision_count_for_nothing() -> None:
    books = Books(0, 0)
    books.read(3, Place(3, -1, booking("a", 0), routed=False))
    books.read(4, Place(4, 0, booking("a", 70)))
    assert books.agreed.tree("r").reserved == 0


def test_rule_26_a_settlement_counts_from_the_position_on_that_a_decision_names() -> None:
    """Read before, and yet not part of what all owners find at that place."""
    books = Books(0, 0)
    books.read(1, Place(1, 0, booking("a", 80)))
    books.told(0, settled("a", 10))
    books.read(2, Place(2, 0, booking("b", 80)))
    assert books.void("r", "b") is not None
    books.read(3, Place(3, 1, booking("c", 80)))
    assert books.void("r", "c") is None


def test_rule_26_what_a_second_record_of_an_id_names_moves_nothing() -> None:
    """Its writer never reads it, so that a restart would else find more money at a later place than the writer did."""
    books = Books(0, 0)
    books.read(1, Place(1, 0, booking("a", 80)))
    books.told(0, settled("a", 10))
    books.read(2, Place(2, 1, booking("a", 80)))
    books.read(3, Place(3, 0, booking("b", 80)))
    assert books.void("r", "b") is not None


def test_rule_26_what_a_second_record_of_a_return_names_moves_nothing() -> None:
    books = Books(0, 0)
    books.told(0, LedgerEntry(LedgerKind.LEASE, "t", "tenant/t", 100, number=1))
    given = Booking("tenant/t/1!return", "tenant/t", 10, None, ("tenant/t",))
    for offset, position in ((1, 0), (2, 1)):
        books.read(offset, Place(offset, position, given, returns=1))
    books.read(3, Place(3, 0, Booking("b", "r", 50, None, ("tenant/t",))))
    assert books.void("r", "b") is not None


def test_a_decision_that_names_more_than_was_read_waits_and_what_follows_with_it() -> None:
    books = Books(0, 0)
    done: list[str] = []
    books.read(1, Place(1, 0, booking("a", 80)))
    books.read(2, Place(2, 1, booking("b", 80)))
    books.after(2, lambda: done.append("b"))
    assert not books.settled
    assert done == []
    books.told(0, settled("a", 10))
    assert done == ["b"]
    assert books.void("r", "b") is None
    books.after(1, lambda: done.append("a"))
    assert done == ["b", "a"]


def test_what_is_read_again_changes_nothing() -> None:
    books = Books(2, 1)
    books.read(1, Place(1, 0, booking("old", 80)))
    books.told(0, settled("x", 10))
    assert books.agreed.trees == {}
    assert books.ahead.trees == {}


async def test_waiting_is_first_come_first_served_and_ends_with_the_money() -> None:
    books = Books(0, 0)
    books.read(1, Place(1, 0, booking("a", 80)))
    futures = []
    for name in ("b", "c"):
        short = books.ahead.short(booking(name, 60))
        assert short is not None
        futures.append(books.waiting(short, booking(name, 60)))
    first, second = futures
    assert first is not None
    assert second is not None
    books.told(0, settled("a", 30))
    assert first.result() is None
    assert not second.done()
    books.told(1, settled("b", 60))
    assert second.result() is not None, "what is spent does not come back"


async def test_a_grant_ends_waiting_and_the_end_of_the_ownership_does() -> None:
    books = Books(0, 0)
    books.read(1, Place(1, 0, booking("a", 80)))
    short = books.ahead.short(booking("b", 60))
    assert short is not None
    first, second = books.waiting(short, booking("b", 60)), books.waiting(short, booking("c", 60))
    assert first is not None
    assert second is not None
    books.told(0, LedgerEntry(LedgerKind.GRANT, "g", tree_budget("r"), 40))
    assert first.result() is None
    books.close()
    await asyncio.sleep(0)
    assert second.cancelled()


def test_what_goes_nowhere_is_free_again() -> None:
    books = Books(0, 0)
    books.decided(booking("a", 80))
    books.withdrawn(booking("a", 80))
    assert books.ahead.short(booking("b", 80)) is None
