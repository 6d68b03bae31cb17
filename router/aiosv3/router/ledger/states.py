"""Budgets as records of ``ledger``, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from aiosv3.router.ledger.accounts import Account, Lease, Told
from aiosv3.router.ledger.fold import Booking, Ledger, Tree
from aiosv3.router.ledger.lending import Lending, Loan
from aiosv3.schemas.money import (
    LedgerClosed,
    LedgerHold,
    LedgerLease,
    LedgerLoan,
    LedgerState,
    tree_budget,
    tree_of,
)

_LENDER: Final = "lent/"


def lender_key(budget: str) -> str:
    """What the state of a shared budget is called in its own partition, where it lends."""
    return _LENDER + budget


def state_of(ledger: Ledger, budget: str, partition: int, own: int, journal: int) -> LedgerState | None:
    """A budget at the place ``own``, ``journal``; None where the ledger has forgotten it."""
    root = tree_of(budget)
    account: Account | None = ledger.shared.get(budget) if root is None else ledger.trees.get(root)
    if account is None:
        return None
    tree = account if isinstance(account, Tree) else Tree()
    return LedgerState(
        partition,
        budget,
        own,
        journal,
        limit_usd_micros=account.limit,
        added_usd_micros=account.added,
        spent_usd_micros=account.spent,
        reserved_usd_micros=account.reserved,
        overrun_usd_micros=account.overrun,
        expires_at=tree.expires,
        open=tuple(LedgerHold(b.id, b.amount, b.budgets) for b in tree.open.values()),
        closed=tuple(LedgerClosed(name, epochs, tree.shares.get(name, ())) for name, epochs in tree.closed.items()),
        void=tuple(tree.void),
        grants=tuple(account.grants),
        lease=_lease_state(account) if isinstance(account, Lease) else None,
    )


def _lease_state(lease: Lease) -> LedgerLease:
    cap, spent, held = lease.told or (None, 0, 0)
    return LedgerLease(lease.number, lease.returns, lease.returned, cap, spent, held)


def lender_state(lending: Lending, budget: str, partition: int, own: int, journal: int) -> LedgerState | None:
    """What a shared budget has lent; None where the lending has forgotten it."""
    lender = lending.lenders.get(budget)
    if lender is None:
        return None
    return LedgerState(
        partition,
        lender_key(budget),
        own,
        journal,
        limit_usd_micros=lender.limit,
        added_usd_micros=lender.added,
        grants=tuple(lender.grants),
        loans=tuple(
            LedgerLoan(one.partition, one.number, one.last, one.lent, one.returned, one.spent, one.reserved)
            for one in lender.loans.values()
        ),
    )


def ledger_of(states: Iterable[LedgerState]) -> Ledger:
    """The ledger that these states describe."""
    ledger = Ledger()
    for state in states:
        root = tree_of(state.budget)
        if state.budget.startswith(_LENDER):
            continue
        if root is None:
            _fill_lease(ledger.lease(state.budget), state)
        else:
            _fill_tree(ledger.tree(root), root, state)
    return ledger


def lending_of(states: Iterable[LedgerState]) -> Lending:
    """What shared budgets have lent by these states."""
    lending = Lending()
    for state in states:
        if state.budget.startswith(_LENDER):
            lender = lending.lender(state.budget.removeprefix(_LENDER))
            lender.limit = state.limit_usd_micros or 0
            lender.added = state.added_usd_micros
            lender.grants = dict.fromkeys(state.grants)
            lender.loans = {
                one.partition: Loan(
                    one.partition,
                    one.number,
                    one.last_usd_micros,
                    one.lent_usd_micros,
                    one.returned_usd_micros,
                    one.spent_usd_micros,
                    one.reserved_usd_micros,
                )
                for one in state.loans
            }
    return lending


def _fill(account: Account, state: LedgerState) -> None:
    account.limit = state.limit_usd_micros
    account.added = state.added_usd_micros
    account.spent = state.spent_usd_micros
    account.reserved = state.reserved_usd_micros
    account.overrun = state.overrun_usd_micros
    account.grants = dict.fromkeys(state.grants)


def _fill_lease(lease: Lease, state: LedgerState) -> None:
    _fill(lease, state)
    if (said := state.lease) is not None:
        lease.number = said.number
        lease.returns = said.returns
        lease.returned = said.returned_usd_micros
        if said.cap_usd_micros is not None:
            lease.told = Told(said.cap_usd_micros, said.spent_usd_micros, said.reserved_usd_micros)


def _fill_tree(tree: Tree, root: str, state: LedgerState) -> None:
    _fill(tree, state)
    tree.expires = state.expires_at
    tree.closed = {closed.id: closed.epochs for closed in state.closed}
    tree.shares = {closed.id: closed.budgets for closed in state.closed if closed.budgets}
    tree.open = {
        hold.id: Booking(hold.id, root, hold.usd_micros, state.limit_usd_micros, hold.budgets, state.expires_at)
        for hold in state.open
    }
    for request_id in state.void:
        tree.void[request_id] = tree.lacking(tree_budget(root), 0)


def newest(states: Mapping[str, list[LedgerState]]) -> tuple[LedgerState | None, list[LedgerState]]:
    """The place up to which all budgets are stated, and each budget's newest state that is not beyond it.

    A worker that lost the partition may write late, above newer states: what counts is the place, not the order.
    """
    ends = states.get("", [])
    if not ends:
        return None, []
    end = max(ends, key=_place)
    return end, list(_upto(states, end))


def _upto(states: Mapping[str, list[LedgerState]], end: LedgerState) -> Iterator[LedgerState]:
    for budget, found in states.items():
        if budget:
            known = [state for state in found if _place(state) <= _place(end)]
            if known:
                yield max(known, key=_place)
            elif not any(map(_sums, found)):
                # One beyond it has in it what will be folded again, and that changes nothing: ids count once.
                yield min(found, key=_place)


def _sums(state: LedgerState) -> bool:
    """True where sums of several trees go together: a lease, or a tree with calls that are paid from one.

    They must be of one place. Such a state that stands only beyond it is of a budget that is made again from there.
    """
    if state.lease is not None:
        return True
    return any(held.budgets for held in state.open) or any(closed.budgets for closed in state.closed)


def _place(state: LedgerState) -> tuple[int, int]:
    return state.own_position, state.journal_position
