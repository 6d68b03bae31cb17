from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.router.ledger import Booking, Ledger
from aiosv3.schemas.money import LedgerEntry, LedgerKind

CAP = 100
IDS = st.sampled_from(["a", "b", "c", "a~2"])
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), IDS, st.integers(0, 60)),
        st.tuples(st.just("settle"), IDS, st.integers(0, 60)),
        st.tuples(st.just("again"), IDS, st.integers(0, 60)),
    ),
    max_size=40,
)


def booking(request_id: str, amount: int, cap: int | None = CAP) -> Booking:
    return Booking(request_id, "root", amount, cap)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@given(ACTS)
def test_reservations_never_pass_the_cap_and_costs_only_by_what_exceeds_them(acts: list[tuple[str, str, int]]) -> None:
    ledger = Ledger()
    for act, request_id, amount in acts:
        if act == "reserve":
            ledger.reserve(booking(request_id, amount))
        else:
            ledger.settle("root", request_id, 0 if act == "settle" else 1, amount)
        tree = ledger.tree("root")
        assert tree.spent + tree.reserved <= CAP + tree.overrun
        assert tree.reserved == sum(open_.amount for open_ in tree.open.values())


@given(ACTS)
def test_whatever_comes_a_second_time_changes_nothing(acts: list[tuple[str, str, int]]) -> None:
    once, twice = Ledger(), Ledger()
    first: dict[tuple[str, str], int] = {}
    for act, request_id, amount in acts:
        money = first.setdefault((act, request_id), amount)
        for ledger, times in ((once, 1), (twice, 2)):
            for _ in range(times):
                if act == "reserve":
                    ledger.reserve(booking(request_id, money))
                else:
                    ledger.settle("root", request_id, 0 if act == "settle" else 1, money)
        mine, other = once.tree("root"), twice.tree("root")
        assert (mine.spent, mine.reserved, mine.overrun) == (other.spent, other.reserved, other.overrun)


def test_a_settlement_ends_its_reservation_with_what_the_call_has_cost(ledger: Ledger) -> None:
    assert ledger.reserve(booking("a", 80)) is None
    short = ledger.reserve(booking("b", 30))
    assert short is not None
    assert short.passing
    assert ledger.left(booking("c", 1)) == 20
    assert ledger.settle("root", "a", 5, 10) == ("tree/root",)
    assert ledger.reserve(booking("c", 90)) is None


def test_what_did_not_fit_stays_void_when_there_is_money_again(ledger: Ledger) -> None:
    ledger.reserve(booking("a", 80))
    ledger.reserve(booking("b", 30))
    ledger.settle("root", "a", 5, 0)
    assert ledger.reserve(booking("b", 30)) is not None


def test_what_is_spent_does_not_pass(ledger: Ledger) -> None:
    ledger.reserve(booking("a", 80))
    ledger.settle("root", "a", 5, 80)
    short = ledger.short(booking("b", 30))
    assert short is not None
    assert not short.passing
    assert "tree/root: 0.000080 of 0.000100 US dollars" in str(short)


def test_a_call_that_was_paid_twice_is_two_costs_and_the_second_is_overrun(ledger: Ledger) -> None:
    ledger.reserve(booking("a", 50))
    ledger.settle("root", "a", 1, 40)
    ledger.settle("root", "a", 2, 30)
    tree = ledger.tree("root")
    assert (tree.spent, tree.reserved, tree.overrun) == (70, 0, 30)


def test_without_a_cap_all_fits_and_is_counted(ledger: Ledger) -> None:
    assert ledger.reserve(booking("a", 10**12, None)) is None
    assert ledger.left(booking("b", 1, None)) is None
    assert ledger.tree("root").reserved == 10**12


def test_what_costs_nothing_fits_an_empty_budget(ledger: Ledger) -> None:
    ledger.settle("root", "late", 1, CAP)
    assert ledger.reserve(booking("a", 0)) is None


def test_a_grant_raises_the_cap_once(ledger: Ledger) -> None:
    ledger.reserve(booking("a", CAP))
    assert ledger.grant("root", "g1", 50)
    assert not ledger.grant("root", "g1", 50)
    assert ledger.left(booking("b", 1)) == 50


def test_a_budget_beside_the_tree_takes_part_only_with_what_was_added(ledger: Ledger) -> None:
    shared = Booking("a", "root", 10, None, ("tenant/acme",))
    short = ledger.short(shared)
    assert short is not None
    assert short.budget == "tenant/acme"
    lent = LedgerEntry(LedgerKind.LEASE, "l1", "tenant/acme", 15, number=1, limit_usd_micros=20)
    assert ledger.lent(lent)
    assert not ledger.lent(lent)
    assert ledger.reserve(shared) is None
    assert ledger.settle("root", "a", 1, 4) == ("tree/root", "tenant/acme")
    assert ledger.lease("tenant/acme").spent == 4
    assert ledger.lease("tenant/acme").free == 11


def test_a_call_that_was_paid_twice_is_two_costs_of_all_its_budgets(ledger: Ledger) -> None:
    ledger.book(Booking("a", "root", 10, None, ("tenant/acme",)))
    ledger.settle("root", "a", 1, 4)
    ledger.settle("root", "a", 2, 5)
    assert (ledger.lease("tenant/acme").spent, ledger.lease("tenant/acme").overrun) == (9, 5)


def test_a_refused_request_books_nothing_any_more(ledger: Ledger) -> None:
    ledger.refuse("root", "a")
    assert ledger.reserve(booking("a", 10)) is None
    assert ledger.tree("root").reserved == 0


def test_trees_that_ended_are_forgotten_unless_a_call_is_open(ledger: Ledger) -> None:
    ledger.reserve(Booking("a", "gone", 1, 10, (), 1_000))
    ledger.reserve(Booking("b", "open", 1, 10, (), 1_000))
    ledger.reserve(Booking("c", "on", 1, 10, (), 3_000))
    ledger.settle("gone", "a", 1, 1)
    ledger.forget(2_000)
    assert sorted(ledger.trees) == ["on", "open"]
