"""What the ledger is told (``journal.router``, key: the root task) and how it is kept (``ledger``). Micro-dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiosv3.schemas.records import Symbol

LEDGER_TYPE: Final = "aiosv3.ledger"
"""``ce_type`` of a ledger entry."""
_TREE: Final = "tree/"
_OVERRULED: Final = "!over"
_RETURN: Final = "!return"
NEVER_CALLED: Final = -1
"""Epoch of the settlement of a request for which no model was called: no completion has it."""


class LedgerKind(Symbol):
    """SETTLEMENT: what a call has cost. GRANT: money that somebody adds.

    LEASE…: a partition's part of a budget that several share. It is asked for (REQUEST), lent (LEASE), asked back
    (RECALL) and given back (RETURN, also if that is nothing: it says how its sender stands).
    """

    SETTLEMENT = "SETTLEMENT"
    GRANT = "GRANT"
    LEASE_REQUEST = "LEASE_REQUEST"
    LEASE = "LEASE"
    LEASE_RETURN = "LEASE_RETURN"
    LEASE_RECALL = "LEASE_RECALL"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One change of what may be spent. ``id``, ``attempt`` and ``epoch`` of a settlement are its completion's.

    From ``number`` on: of leases, of the ``partition`` that borrows. What is spent, reserved and returned are sums
    since the budget began; in a LEASE they are those of all others together.
    """

    kind: LedgerKind
    id: str
    budget: str
    usd_micros: int
    attempt: int = 0
    epoch: int = -1
    source: str | None = None
    partition: int = -1
    by: str | None = None
    number: int = 0
    need_usd_micros: int = 0
    limit_usd_micros: int | None = None
    spent_usd_micros: int = 0
    reserved_usd_micros: int = 0
    returned_usd_micros: int = 0


@dataclass(frozen=True, slots=True)
class LedgerHold:
    """Money reserved for one attempt of a request."""

    id: str
    usd_micros: int
    budgets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LedgerClosed:
    """An attempt that is over: settled, once for each of ``epochs``, or refused."""

    id: str
    epochs: tuple[int, ...]
    budgets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LedgerLease:
    """Where a partition stands with its leases of a shared budget; ``cap``, ``spent``, ``reserved`` of the last one."""

    number: int
    returns: int
    returned_usd_micros: int
    cap_usd_micros: int | None = None
    spent_usd_micros: int = 0
    reserved_usd_micros: int = 0


@dataclass(frozen=True, slots=True)
class LedgerLoan:
    """What a shared budget has lent to one partition. ``last``: by its last lease."""

    partition: int
    number: int
    last_usd_micros: int
    lent_usd_micros: int
    returned_usd_micros: int
    spent_usd_micros: int
    reserved_usd_micros: int


@dataclass(frozen=True, slots=True)
class LedgerState:
    """A record of ``ledger``, key ``partition/budget``: a budget at a place in the router's two logs.

    Without a ``budget`` (key ``partition/``): all budgets that differ from their last record up to there are stated.
    """

    partition: int
    budget: str
    own_position: int
    journal_position: int
    limit_usd_micros: int | None = None
    added_usd_micros: int = 0
    spent_usd_micros: int = 0
    reserved_usd_micros: int = 0
    overrun_usd_micros: int = 0
    expires_at: int | None = None
    open: tuple[LedgerHold, ...] = ()
    closed: tuple[LedgerClosed, ...] = ()
    void: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    lease: LedgerLease | None = None
    loans: tuple[LedgerLoan, ...] = ()


def tree_budget(root_id: str) -> str:
    """The budget of a task tree."""
    return _TREE + root_id


def tree_of(budget: str) -> str | None:
    """The root task of a tree's budget; None for any other budget."""
    return budget.removeprefix(_TREE) if budget.startswith(_TREE) else None


def overruled_id(request_id: str) -> str:
    """The id under which the router remembers that a decision did not fit the budget at its place in the log."""
    return request_id + _OVERRULED


def return_id(budget: str, number: int) -> str:
    """The id under which a partition of the router remembers that it gave back money of a shared budget."""
    return f"{budget}/{number}{_RETURN}"


def return_number(record_id: str) -> int:
    """The number of a return; 0 where the id is another record's."""
    number = record_id.removesuffix(_RETURN).rpartition("/")[2] if record_id.endswith(_RETURN) else ""
    return int(number) if number.isdecimal() else 0
