from __future__ import annotations

from dataclasses import replace

from aiosv3.router.ledger import Booking, Ledger
from aiosv3.router.ledger.lending import Lending
from aiosv3.router.ledger.states import ledger_of, lender_state, lending_of, newest, state_of
from aiosv3.schemas.money import LedgerEntry, LedgerHold, LedgerKind, LedgerLease, LedgerState

BUDGETS = ("tenant/acme",)


def busy() -> Ledger:
    ledger = Ledger()
    ledger.lent(LedgerEntry(LedgerKind.LEASE, "l1", "tenant/acme", 500, number=1, limit_usd_micros=600))
    ledger.give_back("tenant/acme", 1, 40)
    ledger.grant("r", "g1", 7)
    for name, amount in (("a", 40), ("b", 30), ("c", 900)):
        ledger.reserve(Booking(name, "r", amount, 100, BUDGETS, 9_000))
    ledger.settle("r", "a", 3, 50)
    ledger.settle("r", "a", 4, 5)
    ledger.refuse("r", "d")
    return ledger


def again(ledger: Ledger) -> Ledger:
    states = [state_of(ledger, budget, 2, 10, 20) for budget in ("tree/r", "tenant/acme")]
    return ledger_of([state for state in states if state is not None])


def test_a_ledger_comes_back_from_its_states_as_it_was() -> None:
    before, after = busy(), again(busy())
    for budget in ("tree/r", "tenant/acme"):
        assert state_of(before, budget, 2, 10, 20) == state_of(after, budget, 2, 10, 20)
    assert not after.dirty


def test_what_counted_once_counts_no_second_time_after_it() -> None:
    after = again(busy())
    spent = after.tree("r").spent
    after.settle("r", "a", 3, 50)
    after.settle("r", "a", 4, 5)
    after.grant("r", "g1", 7)
    after.reserve(Booking("d", "r", 1, 100))
    assert (after.tree("r").spent, after.tree("r").added, "d" in after.tree("r").open) == (spent, 7, False)
    assert after.tree("r").void.keys() == {"c"}
    after.settle("r", "b", 1, 10)
    lease = after.lease("tenant/acme")
    assert (lease.reserved, lease.spent, lease.free) == (0, 65, 395)


def test_a_budget_that_nobody_knows_has_no_state() -> None:
    assert state_of(Ledger(), "tree/x", 0, 0, 0) is None
    assert state_of(Ledger(), "tenant/x", 0, 0, 0) is None


def at(own: int, journal: int, budget: str = "") -> LedgerState:
    return LedgerState(0, budget, own, journal)


def test_a_restore_begins_at_the_newest_place_with_what_was_stated_up_to_it() -> None:
    """A worker that lost the partition wrote last, of a time before; one that died had not stated everything."""
    tree = [at(5, 5, "tree/a"), at(20, 9, "tree/a"), at(30, 9, "tree/a"), at(10, 7, "tree/a")]
    place, states = newest({"": [at(10, 7), at(20, 9), at(12, 7)], "tree/a": tree})
    assert place == at(20, 9)
    assert states == [at(20, 9, "tree/a")]


def test_what_was_stated_only_beyond_the_place_is_taken_as_it_is() -> None:
    _, states = newest({"": [at(10, 7)], "tree/new": [at(12, 7, "tree/new"), at(15, 7, "tree/new")]})
    assert states == [at(12, 7, "tree/new")]


def test_sums_of_several_trees_are_taken_from_one_place() -> None:
    """What a partial statement left beyond it is made again, not mixed in."""
    lease = replace(at(12, 7, "tenant/acme"), lease=LedgerLease(1, 0, 0))
    tree = replace(at(12, 7, "tree/a"), open=(LedgerHold("a", 1, ("tenant/acme",)),))
    assert newest({"": [at(10, 7)], "tenant/acme": [lease], "tree/a": [tree]}) == (at(10, 7), [])


def test_what_was_lent_comes_back_from_its_states() -> None:
    lending = Lending()
    ask = LedgerEntry(
        LedgerKind.LEASE_REQUEST, "1", "tenant/a", 40, partition=3, number=1, limit_usd_micros=100,
        spent_usd_micros=2, reserved_usd_micros=1,
    )  # fmt: skip
    lending.apply(ask)
    lending.apply(LedgerEntry(LedgerKind.GRANT, "g", "tenant/a", 5))
    state = lender_state(lending, "tenant/a", 0, 1, 2)
    assert state is not None
    after = lending_of([state])
    assert after.lenders == lending.lenders
    assert not ledger_of([state]).shared
    assert lender_state(lending, "tenant/b", 0, 1, 2) is None


def test_states_without_an_end_are_no_place_to_begin() -> None:
    assert newest({"tree/a": [at(10, 7, "tree/a")]}) == (None, [])


def test_a_place_is_the_same_whatever_the_budget() -> None:
    assert replace(at(1, 2, "tree/a"), budget="") == at(1, 2)
