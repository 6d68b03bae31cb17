from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from aiosv3.router.ledger import Booking, Ledger, expose_ledgers
from aiosv3.router.ledger.tally import Tally
from aiosv3.schemas.money import LedgerEntry, LedgerKind


def test_money_is_counted_by_kind_and_never_by_name() -> None:
    ledger, tally, registry = Ledger(), Tally(), CollectorRegistry()
    ledger.lent(LedgerEntry(LedgerKind.LEASE, "x", "tenant@2026-11-30/acme", 5_000_000, number=1))
    for name in "ab":
        ledger.book(Booking(name, f"r{name}", 2_000_000, None, ("tenant@2026-11-30/acme",)))
    ledger.settle("ra", "a", 1, 500_000)
    ledger.settle("ra", "a", 2, 250_000)
    tally.refused("tree/x")
    tally.asked("tenant@2026-11-30/acme")
    tally.waited("agent/triage")
    expose_ledgers(tally, lambda: [ledger], registry)
    said = generate_latest(registry).decode()
    for line in (
        'budget_reserved_usd{kind="tree"} 2.0',
        'budget_reserved_usd{kind="tenant"} 2.0',
        'budget_spent_usd{kind="tenant"} 0.75',
        'budget_overrun_usd{kind="tree"} 0.25',
        'budget_lease_free_usd{kind="tenant"} 2.25',
        'budget_refused_total{kind="tree"} 1.0',
        'budget_lease_asks_total{kind="tenant"} 1.0',
        'budget_waits_total{kind="agent"} 1.0',
    ):
        assert f"\naiosv3_{line}\n" in said
    assert "acme" not in said
