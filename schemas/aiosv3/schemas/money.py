"""What the ledger is told (``journal.router``, key: the root task) and how it is kept (``ledger``). Micro-dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiosv3.schemas.records import Symbol

LEDGER_TYPE: Final = "aiosv3.ledger"
"""``ce_type`` of a ledger entry."""
_TREE: Final = "tree/"
_OVERRULED: Final = "!over"


class LedgerKind(Symbol):
    """SETTLEMENT: what a call has cost. GRANT: money that somebody adds. LEASE…: a partition's part of a budget."""

    SETTLEMENT = "SETTLEMENT"
    GRANT = "GRANT"
    LEASE_REQUEST = "LEASE_REQUEST"
    LEASE = "LEASE"
    LEASE_RETURN = "LEASE_RETURN"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One change of what may be spent. ``id``, ``attempt`` and ``epoch`` of a settlement are its completion's."""

    kind: LedgerKind
    id: str
    budget: str
    usd_micros: int
    attempt: int = 0
    epoch: int = -1
    source: str | None = None
    partition: int = -1
    by: str | None = None


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


def tree_budget(root_id: str) -> str:
    """The budget of a task tree."""
    return _TREE + root_id


def tree_of(budget: str) -> str | None:
    """The root task of a tree's budget; None for any other budget."""
    return budget.removeprefix(_TREE) if budget.startswith(_TREE) else None


def overruled_id(request_id: str) -> str:
    """The id under which the router remembers that a decision did not fit the budget at its place in the log."""
    return request_id + _OVERRULED
