"""Budgets as records of ``ledger``, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from aiosv3.router.ledger.fold import Account, Booking, Ledger, Tree
from aiosv3.schemas.money import LedgerClosed, LedgerHold, LedgerState, tree_budget, tree_of


def state_of(ledger: Ledger, budget: str, partition: int, own: int, journal: int) -> LedgerState | None:
    """A budget at the place ``own``, ``journal``; None where the ledger has forgotten it."""
    root = tree_of(budget)
    account = ledger.shared.get(budget) if root is None else ledger.trees.get(root)
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
        closed=tuple(LedgerClosed(request_id, epochs) for request_id, epochs in tree.closed.items()),
        void=tuple(tree.void),
        grants=tuple(account.grants),
    )


def ledger_of(states: Iterable[LedgerState]) -> Ledger:
    """The ledger that these states describe."""
    ledger = Ledger()
    for state in states:
        root = tree_of(state.budget)
        account = ledger.account(state.budget) if root is None else ledger.tree(root)
        _fill(account, state)
        if isinstance(account, Tree) and root is not None:
            _fill_tree(account, root, state)
    ledger.dirty.clear()
    return ledger


def _fill(account: Account, state: LedgerState) -> None:
    account.limit = state.limit_usd_micros
    account.added = state.added_usd_micros
    account.spent = state.spent_usd_micros
    account.reserved = state.reserved_usd_micros
    account.overrun = state.overrun_usd_micros
    account.grants = dict.fromkeys(state.grants)


def _fill_tree(tree: Tree, root: str, state: LedgerState) -> None:
    tree.expires = state.expires_at
    tree.closed = {closed.id: closed.epochs for closed in state.closed}
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
            # One beyond it has in it what will be folded again, and that changes nothing: ids count once.
            yield max(known, key=_place) if known else min(found, key=_place)


def _place(state: LedgerState) -> tuple[int, int]:
    return state.own_position, state.journal_position
