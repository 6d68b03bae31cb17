from __future__ import annotations

from aiosv3.router.ledger.accounts import Lease
from aiosv3.schemas.money import LedgerEntry, LedgerKind


def lease(number: int, amount: int, spent: int = 0, held: int = 0) -> LedgerEntry:
    return LedgerEntry(
        LedgerKind.LEASE, "x", "tenant/a", amount, number=number, limit_usd_micros=100, spent_usd_micros=spent,
        reserved_usd_micros=held,
    )  # fmt: skip


def test_a_lease_counts_once() -> None:
    account = Lease()
    assert account.lent(lease(1, 40))
    assert not account.lent(lease(1, 40))
    assert (account.total, account.free, account.number) == (40, 40, 1)


def test_what_is_not_free_is_not_given_back() -> None:
    account = Lease()
    account.lent(lease(1, 40))
    account.reserved = 30
    assert account.give_back(1, 11) is False
    assert account.give_back(2, 10) is True
    assert account.give_back(2, 10) is None
    assert (account.free, account.returned, account.returns) == (0, 10, 2)


def test_what_is_short_is_said_of_the_whole_budget() -> None:
    account = Lease()
    account.lent(lease(1, 10, spent=60, held=20))
    account.spent = account.reserved = 5
    short = account.short("tenant/a", 36)
    assert short is not None
    assert (short.limit, short.spent, short.reserved, short.passing) == (100, 65, 25, False)
    less = account.short("tenant/a", 35)
    assert less is not None
    assert less.passing, "what others hold may come back"


def test_before_the_first_answer_only_who_has_asked_waits() -> None:
    account = Lease()
    short = account.short("tenant/a", 1)
    assert short is not None
    assert not short.passing
    account.asking = True
    short = account.short("tenant/a", 1)
    assert short is not None
    assert short.passing
