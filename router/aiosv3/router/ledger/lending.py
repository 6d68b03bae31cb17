"""Budgets that several partitions share, in the one that a budget's id hashes to: what is lent to whom.

What a request is lent follows from the journal alone: the requests, returns and grants before it, in their order.
Whoever reads them says the same, so nobody decides, and two owners cannot lend the same money twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from aiosv3.schemas.money import LedgerEntry, LedgerKind, tree_of

_SHARE: Final = 4
"""Beyond what calls wait for, a lease is a fourth of what is left at most: near the end there is some for all."""


@dataclass(slots=True)
class Loan:
    """What one partition was lent. ``number`` and ``last``: of its last lease. ``spent``, ``reserved``: as it said."""

    partition: int
    number: int = 0
    last: int = 0
    lent: int = 0
    returned: int = 0
    spent: int = 0
    reserved: int = 0

    @property
    def held(self) -> int:
        """What it has and has not spent, as far as is known."""
        return self.lent - self.returned - self.spent

    def heard(self, entry: LedgerEntry) -> None:
        """What its owner says. Sums only grow, so what is late or comes twice changes nothing."""
        self.spent = max(self.spent, entry.spent_usd_micros)
        self.returned = max(self.returned, min(entry.returned_usd_micros, self.lent))
        self.reserved = entry.reserved_usd_micros


@dataclass(slots=True)
class Lender:
    """One shared budget. ``limit``: its cap as the newest request has it; ``added``: granted beside."""

    limit: int = 0
    added: int = 0
    grants: dict[str, None] = field(default_factory=dict)
    loans: dict[int, Loan] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.limit + self.added

    @property
    def out(self) -> int:
        """What is lent and was not given back."""
        return sum(loan.lent - loan.returned for loan in self.loans.values())

    def loan(self, partition: int) -> Loan:
        found = self.loans.get(partition)
        if found is None:
            found = self.loans[partition] = Loan(partition)
        return found

    def asked(self, entry: LedgerEntry) -> Loan | None:
        """Lends, once for each number; None for a request that is older than the last one of its partition."""
        loan = self.loan(entry.partition)
        loan.heard(entry)
        if entry.number < loan.number:
            return None
        if entry.number > loan.number:
            self.limit = entry.limit_usd_micros or 0
            left = max(0, self.total - self._taken(loan))
            loan.number = entry.number
            loan.last = min(left, max(entry.need_usd_micros, min(entry.usd_micros, left // _SHARE)))
            loan.lent += loan.last
        return loan

    def _taken(self, asker: Loan) -> int:
        """What cannot be lent to this one. What others have spent beyond their leases is gone as well; the asker's own
        excess is in what it needs."""
        others = sum(max(loan.lent - loan.returned, loan.spent) for loan in self.others(asker.partition))
        return others + asker.lent - asker.returned

    def others(self, partition: int) -> list[Loan]:
        return [loan for loan in self.loans.values() if loan.partition != partition]


class Lending:
    """All shared budgets of one partition. Applying an entry again, in order, to a newer state changes nothing."""

    def __init__(self) -> None:
        self.lenders: dict[str, Lender] = {}
        self.dirty: set[str] = set()
        """Budgets that have changed."""

    def lender(self, budget: str) -> Lender:
        """A shared budget, made where it is new."""
        found = self.lenders.get(budget)
        if found is None:
            found = self.lenders[budget] = Lender()
        return found

    def apply(self, entry: LedgerEntry) -> Sequence[LedgerEntry]:
        """An entry of the journal; returns what has to be told, each to the partition that it names."""
        if not lends(entry):
            return ()
        lender = self.lender(entry.budget)
        self.dirty.add(entry.budget)
        if entry.kind is LedgerKind.GRANT:
            if entry.id not in lender.grants:
                lender.grants[entry.id] = None
                lender.added += entry.usd_micros
            return ()
        if entry.kind is LedgerKind.LEASE_RETURN:
            loan = lender.loan(entry.partition)
            loan.heard(entry)
            missing = loan.number > entry.number  # its last lease never got there
            return (self._lease(entry.budget, lender, loan),) if missing else ()
        asked = lender.asked(entry)
        if asked is None:
            return ()
        answer = self._lease(entry.budget, lender, asked)
        if asked.last >= entry.need_usd_micros:
            return (answer,)
        return (answer, *self._recalls(entry.budget, lender, asked))

    def _lease(self, budget: str, lender: Lender, loan: Loan) -> LedgerEntry:
        others = lender.others(loan.partition)
        return LedgerEntry(
            LedgerKind.LEASE,
            f"{budget}/{loan.partition}/{loan.number}",
            budget,
            loan.last,
            partition=loan.partition,
            number=loan.number,
            limit_usd_micros=lender.total,
            spent_usd_micros=sum(other.spent for other in others),
            reserved_usd_micros=sum(max(0, other.held) for other in others),
        )

    def _recalls(self, budget: str, lender: Lender, asked: Loan) -> list[LedgerEntry]:
        """To everybody who has something that the asker could spend."""
        source = f"{budget}/{asked.partition}/{asked.number}"
        return [
            LedgerEntry(LedgerKind.LEASE_RECALL, source, budget, 0, partition=other.partition)
            for other in lender.others(asked.partition)
            if other.held > 0
        ]

    def forget(self, budgets: Sequence[str]) -> list[str]:
        """Drops these; returns those that there were."""
        return [budget for budget in budgets if self.lenders.pop(budget, None) is not None]


def lends(entry: LedgerEntry) -> bool:
    """True for what a shared budget's own partition is told; no decision depends on its place in the journal."""
    kind = entry.kind
    if kind is LedgerKind.GRANT:
        return tree_of(entry.budget) is None
    return kind is LedgerKind.LEASE_REQUEST or kind is LedgerKind.LEASE_RETURN
