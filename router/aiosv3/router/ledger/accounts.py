"""One budget as one partition of the router sees it. Money is in micro-dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from aiosv3.schemas.money import LedgerEntry


@dataclass(frozen=True, slots=True)
class Short:
    """Why a booking does not fit: the first budget that has too little. ``lendable``: it may still be lent more."""

    budget: str
    limit: int
    spent: int
    reserved: int
    asked: int
    lendable: bool = False

    @property
    def passing(self) -> bool:
        """Waiting may help: there may be more to borrow, or it would fit if the calls at work cost nothing."""
        return self.lendable or (self.reserved > 0 and self.spent + self.asked <= self.limit)

    def __str__(self) -> str:
        return (
            f"budget {self.budget}: {_usd(self.spent)} of {_usd(self.limit)} US dollars are spent and "
            f"{_usd(self.reserved)} reserved for calls at work; this call may cost {_usd(self.asked)}"
        )


def _usd(micros: int) -> str:
    return f"{micros / 1_000_000:.6f}"


class Account:
    """One budget as this partition sees it. ``limit`` None: whatever is asked fits. ``overrun``: spent without or
    beyond a reservation."""

    __slots__ = ("added", "grants", "limit", "overrun", "reserved", "spent")

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.added = 0
        self.spent = 0
        self.reserved = 0
        self.overrun = 0
        self.grants: dict[str, None] = {}

    @property
    def total(self) -> int | None:
        """What may be spent in all: the limit and what was added to it."""
        return None if self.limit is None else self.limit + self.added

    def short(self, budget: str, amount: int) -> Short | None:
        total = self.total
        if total is None or self.spent + self.reserved + amount <= total:
            return None
        return self.lacking(budget, amount)

    def lacking(self, budget: str, amount: int) -> Short:
        """Why ``amount`` is not there."""
        return Short(budget, self.total or 0, self.spent, self.reserved, amount)


class Told(NamedTuple):
    """What a lease says of its budget: its cap, what all other partitions have spent, and what they hold beside."""

    cap: int
    spent: int
    held: int


class Lease(Account):
    """A partition's part of a budget that several share: what it was lent and has not given back.

    ``number`` and ``returns`` count its leases and returns: a second one of the same number changes nothing.
    ``asking``: this owner has asked for more and has no answer yet.
    """

    __slots__ = ("asking", "number", "returned", "returns", "told")

    def __init__(self) -> None:
        super().__init__(0)
        self.number = 0
        self.returns = 0
        self.returned = 0
        self.told: Told | None = None
        self.asking = False

    @property
    def total(self) -> int:
        return self.added - self.returned

    @property
    def free(self) -> int:
        """What is left of it; below zero where calls have cost more than was reserved."""
        return self.added - self.returned - self.spent - self.reserved

    def lent(self, entry: LedgerEntry) -> bool:
        """A lease came; False if it was here before."""
        if entry.number <= self.number:
            return False
        self.number = entry.number
        self.added += entry.usd_micros
        self.told = Told(entry.limit_usd_micros or 0, entry.spent_usd_micros, entry.reserved_usd_micros)
        return True

    def give_back(self, number: int, amount: int) -> bool | None:
        """Gives ``amount`` back, if that much is free; None if this return was made before."""
        if number <= self.returns:
            return None
        self.returns = number
        fits = 0 < amount <= self.free
        self.returned += amount if fits else 0
        return fits

    def lacking(self, budget: str, amount: int) -> Short:
        """Why ``amount`` is not there, as far as the last lease has told what the others have."""
        cap, spent, held = self.told or Told(0, 0, 0)
        lendable = self.asking or self.spent + spent + amount <= cap
        return Short(budget, cap, self.spent + spent, self.reserved + held, amount, lendable)
